"""Settings of published results as flag files, and the commands that reproduce them.

May import `scripts.common`.
Offers `grid`.
"""
