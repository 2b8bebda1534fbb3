"""What the commands do, once their flags are read and found good; each is imported by its command's `main` alone.

May import `pipeline`, `model` and the folders of `scripts` but this one.
Offers `run` of each command but reproduce, whose work is `scripts.recipes.grid`.
"""
