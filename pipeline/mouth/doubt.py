"""How doubtful mouth crops are, and why."""

from typing import NamedTuple


class Doubt(NamedTuple):
    """How likely the crops of a stretch do not show what they should.

    Attributes:
      score: 0 for certain crops to 1 for useless ones; from 0.5 on they are doubtful.
      cause: one of `CAUSES`, or "" where nothing is doubtful.
    """

    score: float
    cause: str


HIDDEN = "the mouth is hidden"
FLAT = "hardly any contrast"
UNSTEADY = "the crop moves unusually"
TURNED = "the face is turned far"
CAUSES = (HIDDEN, FLAT, UNSTEADY, TURNED)
CERTAIN = Doubt(0.0, "")
