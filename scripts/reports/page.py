"""Renders a report as one self-contained HTML file: sections of tables, bars and pictures."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import jinja2
from PIL import Image

MAX_CHARACTERS = 300  # of a cell or a label
SVG = "data:image/svg+xml;base64,"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under column heads; numbers are right-aligned, with thousands separators.

    Attributes:
      more: rows that are not shown, counted under the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]
    title: str = ""
    more: int = 0
    kind: ClassVar[str] = "table"


@dataclasses.dataclass(frozen=True)
class Bars:
    """A bar for each `(label, count)`, in the order given.

    Attributes:
      scale: the count of a full-width bar; 0 for the largest count.
      more: labels that are not shown, counted under the bars.
    """

    title: str
    rows: Sequence[tuple[str, int]]
    scale: int = 0
    more: int = 0
    kind: ClassVar[str] = "bars"

    @property
    def full(self) -> int:
        return self.scale or max((count for _, count in self.rows), default=1) or 1


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
      source: a `data:` address.
      alt: text for screen readers.
      width: pixels that it needs; it scrolls on narrower screens.

    A drawing (`svg`) has its lightness turned over on dark screens; a photograph stays as it is.
    """

    source: str
    alt: str
    title: str = ""
    caption: str = ""
    width: int = 0
    kind: ClassVar[str] = "picture"

    @property
    def is_drawing(self) -> bool:
        return self.source.startswith(SVG)


@dataclasses.dataclass(frozen=True)
class Aligned:
    """A sentence as it was said, over the sentence that was read.

    Attributes:
      pairs: `(said, read)` of each word in order, None where a word was inserted or deleted.
    """

    title: str
    pairs: Sequence[tuple[str | None, str | None]]
    caption: str = ""
    kind: ClassVar[str] = "aligned"


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


Block = Table | Bars | Picture | Aligned | Text


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page with a heading.

    Attributes:
      narrow: blocks that stand side by side if there is room.
      wide: blocks below them, each as wide as the page.
    """

    title: str
    narrow: Sequence[Block] = ()
    wide: Sequence[Block] = ()


class Fact(NamedTuple):
    """A headline figure; the note stands below it."""

    name: str
    value: str
    note: str = ""


def render(
    title: str,
    subtitle: str,
    origin: Sequence[tuple[str, str]],
    facts: Sequence[Fact],
    sections: Sequence[Section],
) -> str:
    """Renders the page as HTML; every text is escaped.

    Args:
      title: what the page reports on.
      subtitle: a line under it.
      origin: `(name, value)` of what the page was made from, and how; see `scripts.reports.origin`.
      facts: the headline figures.
      sections: in order.
    """
    page = _TEMPLATES.get_template("page.html")
    content = {"title": title, "subtitle": subtitle, "origin": origin, "facts": facts, "sections": sections}
    return page.render(**content, max_characters=MAX_CHARACTERS)


def webp(picture: Image.Image, quality: int = 80) -> str:
    """Encodes a picture as a `data:` address."""
    buffer = io.BytesIO()
    picture.save(buffer, "webp", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def svg(drawing: str) -> str:
    """Encodes an SVG drawing as a `data:` address."""
    return f"{SVG}{base64.b64encode(drawing.encode()).decode()}"
