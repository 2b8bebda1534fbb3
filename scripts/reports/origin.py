"""The head of a report: what it was made from, when, and by which command."""

import datetime
import shlex
from collections.abc import Sequence

from pipeline.records.directory import DatasetDir

SHOWN = 16  # digits of a fingerprint


def now() -> datetime.datetime:
    """Returns the time in UTC."""
    return datetime.datetime.now(datetime.UTC)


def command(name: str, arguments: Sequence[str]) -> str:
    """Returns the command line of `scripts.NAME`, quoted for a shell."""
    return f"python -m scripts.{name} {shlex.join(arguments)}".rstrip()


def of_data(data: DatasetDir) -> list[tuple[str, str]]:
    """Returns rows `(name, value)`: where the dataset lies, and the first digits of its fingerprint."""
    return [("data", str(data.root)), ("fingerprint", data.fingerprint[:SHOWN])]


def made(date: datetime.datetime, command: str) -> list[tuple[str, str]]:
    """Returns rows `(name, value)`: the date, which has a time zone, in UTC, and the command line."""
    return [("date", f"{date.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"), ("command", command)]
