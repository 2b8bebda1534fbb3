"""The error a user can mend on the model side."""


class RunError(Exception):
    """A run that cannot go on: the message names the path or value, the rule and the way out, in one line."""
