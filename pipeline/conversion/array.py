"""One of several conversions, such as the tasks of a job array, that make the shards of a dataset between them."""

import dataclasses
import re
from collections.abc import Sequence
from typing import TypeVar

from pipeline.records import storage
from pipeline.records.storage import Place

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Part:
    """Task number `task`, from 0, of `tasks` that share a conversion; the only one of 1 does it alone.

    Raises:
      ValueError: there is no such task.
    """

    task: int = 0
    tasks: int = 1

    def __post_init__(self) -> None:
        if self.tasks < 1:
            raise ValueError(f"tasks: want at least 1, got {self.tasks}")
        if not 0 <= self.task < self.tasks:
            raise ValueError(f"task: want 0 to {self.tasks - 1}, since there are {self.tasks} tasks, got {self.task}")

    @property
    def is_whole(self) -> bool:
        """Whether nobody else makes shards."""
        return self.tasks == 1

    def share(self, tasks: Sequence[T]) -> list[T]:
        """Returns the shards of this task: every `tasks`-th, so that all have some of every split."""
        return list(tasks[self.task :: self.tasks])

    def file(self, name: str) -> str:
        """Returns the name of a file that each task has of its own: `lock-3-of-20` for `lock`."""
        stem, dot, kind = name.partition(".")
        return name if self.is_whole else f"{stem}-{self.task}-of-{self.tasks}{dot}{kind}"


WHOLE = Part()


def of_tasks(name: str, place: Place) -> list[Place]:
    """Returns the files in a directory that are `name` of a task."""
    stem, dot, kind = name.partition(".")
    pattern = re.compile(rf"{re.escape(stem)}-\d+-of-\d+{re.escape(dot + kind)}")
    return [place / found for found in storage.names(place) if pattern.fullmatch(found)]
