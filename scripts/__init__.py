"""The commands; run them as `python -m scripts.NAME --help`."""
