"""The flags of a conversion that several commands make between them, such as the tasks of a Slurm job array."""

import os

from absl import flags

from pipeline.conversion.array import WHOLE, Part
from pipeline.schema import DataError

flags.disclaim_key_flags()

ID, FIRST, STEP, COUNT = (f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "STEP", "COUNT"))


def define() -> None:
    """Defines --task, --tasks and --finalize."""
    flags.DEFINE_integer(
        "task",
        None,
        "make only the share of this task, from 0, of --tasks; any may be killed and run again, and the last to end "
        "finishes the dataset. Default: Slurm's, in a job array; --task=0 --tasks=1 makes all",
    )
    flags.DEFINE_integer("tasks", None, "how many tasks share the conversion; the same number for all of them")
    flags.DEFINE_bool("finalize", False, "convert nothing; finish a dataset whose --tasks have made all shards")


def part() -> Part:
    """Returns the part that the flags ask for, or Slurm.

    Raises:
      DataError: a flag is missing, or there is no such task.
    """
    values = flags.FLAGS
    if values.task is not None and values.tasks is None:
        raise DataError("--task: needs --tasks, how many tasks there are in all")
    if values.finalize and (values.task is not None or values.tasks is None):
        raise DataError("--finalize: needs --tasks, how many tasks there were, and no --task")
    if values.finalize:
        return WHOLE
    if values.tasks is None:
        return _slurm_part() if ID in os.environ else WHOLE
    if values.task is None:
        raise DataError("--tasks: needs --task, the number of this one, from 0; or --finalize once all have ended")
    try:
        return Part(values.task, values.tasks)
    except ValueError as error:
        raise DataError(f"--{error} (see --help)") from error


def _slurm_part() -> Part:
    """Returns the part of a task of a job array, whatever its first number and step."""
    number, first, step, count = (int(os.environ[name]) for name in (ID, FIRST, STEP, COUNT))
    task, rest = divmod(number - first, step)
    if rest or task >= count:
        raise DataError(f"{ID}={number}: not every task of --array is there; give --task={number} and --tasks")
    return Part(task, count)
