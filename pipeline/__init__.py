"""Talking-face video in, `[batch, seq, 112, 112, 5]` tensors out."""
