"""The commands that reproduce published results; `common.training_defaults` has most settings of their trainings.

May import `scripts.common`.
Offers `grid`.
"""
