"""The error that users of the model can correct."""


class RunError(Exception):
    """A run that cannot continue; the message names the path or value, the rule and the way out in one line."""
