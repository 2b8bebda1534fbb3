"""Turns talking-face video into batches `[batch, seq, 112, 112, 5]`, one folder a stage.

May import nothing of `model` or `scripts`.
Offers `conversion.job.convert`, `loading.dataset.load`, `inspection`, and the stages they are made of.
"""

__version__ = "0.1.0"
