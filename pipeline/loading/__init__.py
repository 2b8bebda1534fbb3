"""Reads a dataset directory as batches `[B, S, 112, 112, 5]` through tf.data.

May import `pipeline.records` and above.
Offers `config.DataConfig`, `config.PlanConfig`, `config.AugmentConfig`, `dataset.load`, `device.batches`, `position`.
"""
