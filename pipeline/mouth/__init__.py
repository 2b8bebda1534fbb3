"""Tracks the mouth in gray frames and crops it to 112x112 pixels.

May import `pipeline.video` and above.
Offers `cropping.MouthCropper`, `cropping.CropSettings`, `cropping.Crops`, `doubt.Doubt`.
"""
