"""Tracks the mouth in gray frames and crops it to 112x112 pixels.

May import `pipeline.video` and above.
Offers `crop.MouthCropper`, `crop.CropSettings`, `crop.Crops`, `doubt.Doubt`.
"""
