"""The settings that `run.json` keeps: read and compared, without the model and the data."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from model import run
from model.config import LipReaderConfig, TrainConfig
from model.errors import RunError
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.mouth.settings import CropSettings
from pipeline.records import identity, locks, storage

# The sections of run.json that are dataclasses: a field that an older run lacks has its default.
SECTIONS = {
    "model": LipReaderConfig,
    "train": TrainConfig,
    "data": DataConfig,
    "order": PlanConfig,
    "augment": AugmentConfig,
}


def begun(directory: str | Path) -> dict[str, Any] | None:
    """Returns the contents of a run's `run.json`; a field that an older run lacks has the library's default.

    Returns:
      None where there is no run yet.

    Raises:
      RunError: `run.json` is not what training writes.
    """
    directory = storage.local(directory)
    if not (directory / run.RUN_FILE).exists():
        return None
    with run.as_written(directory):
        return with_defaults(run.load_run(directory))


def save_run(directory: str | Path, settings: dict[str, Any]) -> None:
    """Writes `run.json`, or checks that an earlier one says the same.

    Args:
      directory: made if missing.
      settings: of `experiment.settings`, and more.

    Raises:
      RunError: the run was started with other settings; the message lists each difference.
    """
    directory = storage.local(directory)
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory}: is a file; a run needs a directory")
    path = directory / run.RUN_FILE
    if (old := begun(directory)) is not None:
        if changed := identity.differences(_compared(old), _compared(with_defaults(settings))):
            raise RunError(f"{path}: other settings: {'; '.join(changed)}; give the old ones, or a new directory")
        return
    if directory.is_dir() and any(not entry.name.endswith(".tmp") for entry in directory.iterdir()):
        raise RunError(f"{directory}: holds something else than a run; name a new directory")
    directory.mkdir(parents=True, exist_ok=True)
    storage.write_json(path, settings)


def _compared(settings: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the words, which follow from the data and its examples; older runs list those of all splits."""
    return {name: value for name, value in settings.items() if name != "words"}


def with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the contents of a `run.json`; a field that it lacks has the library's default."""
    filled = {name: {**defaults(kind), **settings.get(name, {})} for name, kind in SECTIONS.items()}
    given = settings.get("input", {})
    return {**settings, **filled, "input": {**given, "crop": {**defaults(CropSettings), **given.get("crop", {})}}}


def defaults(kind: type) -> dict[str, Any]:
    """Returns the fields of a dataclass that have a default, with it."""
    return {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}


def locked(directory: str | Path) -> contextlib.AbstractContextManager[None]:
    """Holds a run that `save_run` has written against a second training, which is refused with a DataError."""
    directory = storage.local(directory)
    busy = f"{directory}: another training is writing there; wait, or name a new directory"
    return locks.locked(directory / run.RUN_FILE, busy)
