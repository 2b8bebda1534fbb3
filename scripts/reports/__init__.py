"""HTML reports, charts and TensorBoard pictures.

May import `pipeline`, `model` and `scripts.common`.
Offers `dataset_page`, `score_page`, `tensorboard_images`.
"""
