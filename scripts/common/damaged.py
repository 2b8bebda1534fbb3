"""Damaged records: what to do at one, and which were met."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Damaged:
    """What to do at a damaged record, `raise` or `skip`, and the problem of each that was skipped."""

    on_bad_record: Literal["raise", "skip"] = "raise"
    skipped: set[str] = dataclasses.field(default_factory=set)

    def __str__(self) -> str:
        return f"{len(self.skipped)} damaged record{'s' * (len(self.skipped) != 1)}" + (
            ", named above" if self.skipped else ""
        )
