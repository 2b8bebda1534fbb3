"""Decodes a video file, or a directory of images, into upright gray frames at a constant rate.

May import `pipeline.vocab` and above.
Offers `decode.opened`, `decode.read_color`, `decode.end`.
"""
