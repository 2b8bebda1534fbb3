"""The error that users of the model can correct."""


class RunError(Exception):
    """A run that cannot continue; the message names the path or value, the rule and the way out in one line."""


class WorkersError(Exception):
    """A training that has lost one of its workers; one line names it. The same command on all workers continues it."""
