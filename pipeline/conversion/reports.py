"""What other machines report of shards, as the events of `pieces.run`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from pipeline.conversion.processes import Completed, Event, Finished, Restarted


@dataclasses.dataclass(frozen=True)
class Report:
    """The clips of a shard that are finished: all of them once it is, else those that no report before has.

    Attributes:
      key: of the shard.
      attempt: another one each time that the shard is begun.
      crashes: what processes that clips have ended said on stderr.
    """

    key: str
    attempt: str
    finished: tuple[Finished, ...]
    crashes: str = ""


class Reports:
    """Joins the reports of a run: no clip counts twice, and none of a shard that is begun anew."""

    def __init__(self) -> None:
        self._known: dict[str, Report] = {}

    def add(self, task: Any, report: Report) -> Iterator[Event]:
        """Yields what is new in the report of a shard, `task`, that is being made."""
        known = yield from self._of_attempt(task, report)
        yield from report.finished
        self._known[report.key] = dataclasses.replace(report, finished=known + report.finished)

    def complete(self, task: Any, report: Report) -> Iterator[Event]:
        """Yields what is new in the report of a shard that is finished, and that it is."""
        known = yield from self._of_attempt(task, report)
        self._known.pop(report.key, None)
        yield from report.finished[len(known) :]
        yield Completed(task, report.finished)

    def _of_attempt(self, task: Any, report: Report) -> Iterator[Event]:
        """Returns the clips that are known of this attempt; voids those of another."""
        known = self._known.get(report.key)
        if known is None:
            return ()
        if known.attempt == report.attempt:
            return known.finished
        yield Restarted(task, known.finished)
        return ()
