"""The flags of a conversion that several commands make between them, such as the tasks of a Slurm job array."""

import os

from absl import flags

from pipeline.conversion.array import WHOLE, Part
from pipeline.schema import DataError

flags.disclaim_key_flags()

ID, FIRST, LAST, STEP, COUNT = (f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "STEP", "COUNT"))


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


def part(in_slurm: bool) -> Part:
    """Returns the part that the flags ask for, or, if it counts, a job array of Slurm.

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
        return _slurm_part() if in_slurm and ID in os.environ else WHOLE
    if values.task is None:
        raise DataError("--tasks: needs --task, the number of this one, from 0; or --finalize once all have ended")
    try:
        return Part(values.task, values.tasks)
    except ValueError as error:
        raise DataError(f"--{error} (see --help)") from error


def _slurm_part() -> Part:
    """Returns the part of a task of a job array, whatever its first number and step."""
    number, first, step, count = (_number(name, value) for name, value in ((ID, 0), (FIRST, 0), (STEP, 1), (COUNT, 0)))
    task, rest = divmod(number - first, max(step, 1))
    last = first + max(step, 1) * (count - 1)
    if rest or not 0 <= task < count or _number(LAST, last) != last:
        way_out = "submit the whole array again, since what is made stays, or give --task and --tasks"
        raise DataError(f"{ID}={number}: not all tasks between the first and the last are in the array; {way_out}")
    return Part(task, count)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise DataError(f"{name}={text}: want a number; give --task and --tasks")
    return int(text)
