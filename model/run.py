"""A run directory: `run.json`, the settings of a training; `last/` and `best/`, its checkpoints; `tensorboard/`."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.config import LipReaderConfig
from model.errors import RunError

RUN_FILE = "run.json"
VERSION = 2  # of run.json; 1 had no version and other names for two fields
RENAMED = {"model": {"use_inside": "use_in_word"}, "data": {"edge": "padding"}}  # section -> name in 1 -> name


def load_run(run_dir: str | Path) -> dict[str, Any]:
    """Reads the settings of a run, in the names of this version whichever version wrote them.

    Raises:
      RunError: no such directory, no `run.json` in it, or not JSON.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such run directory; train one, or correct the path")
    path = run_dir / RUN_FILE
    if not path.is_file():
        raise RunError(f"{path}: missing, so this is no run directory; give one that training made")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: not JSON ({error}); restore it, or train into a new directory") from error
    with as_written(run_dir):
        return _upgraded(settings)


def _upgraded(settings: dict[str, Any]) -> dict[str, Any]:
    if (version := settings.get("version", 1)) > VERSION:
        raise ValueError(f"version {version}, this program reads up to {VERSION}")
    if version == VERSION:
        return settings
    renamed = {
        section: {names.get(key, key): value for key, value in settings[section].items()}
        for section, names in RENAMED.items()
        if section in settings
    }
    return {**settings, **renamed, "version": VERSION}


@contextlib.contextmanager
def as_written(run_dir: Path) -> Iterator[None]:
    """Turns what cannot be made of a `run.json`, such as a newer version's, into a RunError."""
    try:
        yield
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise RunError(
            f"{run_dir / RUN_FILE}: not what this version writes ({error}); use the version that wrote it, or train "
            "into a new directory"
        ) from error


def model_config(run_dir: str | Path) -> LipReaderConfig:
    """Returns the model's configuration; a field that the run does not have has its default.

    Raises:
      RunError: as `load_run`, or the run has no model of this version.
    """
    run_dir = Path(run_dir)
    settings = load_run(run_dir)
    with as_written(run_dir):
        return LipReaderConfig(**settings["model"])


def refuse_other_model(run_dir: str | Path, config: LipReaderConfig, fields: Iterable[str] = ()) -> None:
    """Refuses a model that differs from the run's in one of `fields`, or in any if none is given.

    Raises:
      RunError: naming each field with both values.
    """
    run_dir = Path(run_dir)
    saved, own = (dataclasses.asdict(one) for one in (model_config(run_dir), config))
    changed = [f"{name} was {saved[name]}, is {own[name]}" for name in fields or own if saved[name] != own[name]]
    if changed:
        raise RunError(
            f"{run_dir / RUN_FILE}: another model: {', '.join(changed)}; ask for the run's, or for another run"
        )
