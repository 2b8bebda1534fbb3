"""Decodes a video file into upright gray frames at a constant rate.

May import `pipeline.schema`.
Offers `decode.read`, `images.read`, `color`.
"""
