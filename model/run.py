"""A run directory: `run.json`, what was asked for; `last/` and `best/`, checkpoints; `tensorboard/`."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.errors import RunError

RUN_FILE = "run.json"
MODEL = "model"  # the key of the LipReaderConfig in run.json
SINCE = {"precision": "float32"}  # fields of MODEL that older runs do not have, and what they were made with
SHOWN = 40  # characters of a value in an error message


def save_run(run_dir: Path, settings: dict[str, Any]) -> None:
    """Write `run.json`, or hold that an earlier one says the same.

    Args:
      run_dir: made where missing.
      settings: nested dicts of what JSON can say; `settings["model"]` is the LipReaderConfig as a dict.

    Raises:
      RunError: the run was started with other settings; the message lists each difference.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise RunError(f"{run_dir}: is a file; a run wants a directory")
    path = run_dir / RUN_FILE
    settings = json.loads(json.dumps(settings))  # as it will be read: tuples are lists
    if path.exists():
        refuse_differences(path, load_run(run_dir), settings)
        return
    unfinished = path.with_suffix(".unfinished")
    if run_dir.is_dir() and set(run_dir.iterdir()) - {unfinished}:
        raise RunError(f"{run_dir}: holds something else than a run; name a new directory")
    run_dir.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Holds a run that `save_run` has written against a second training.

    Raises:
      RunError: another one holds it.
    """
    with (run_dir / RUN_FILE).open("r+") as file:  # some file systems lock only what is open for writing
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{run_dir}: another training is writing there; wait, or name a new directory") from error
        yield


def load_run(run_dir: Path) -> dict[str, Any]:
    """What `save_run` wrote; of an older run, with what that could only be.

    Raises:
      RunError: no such directory, no `run.json` in it, or not JSON.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such run directory; train one, or mend the path")
    path = run_dir / RUN_FILE
    if not path.is_file():
        raise RunError(f"{path}: missing, so this is no run directory; give one that training made")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: not JSON ({error}); restore it, or train into a new directory") from error
    if not isinstance(settings, dict) or not isinstance(settings.get(MODEL, {}), dict):
        raise RunError(f"{path}: not what training writes; restore it, or train into a new directory")
    return {**settings, MODEL: {**SINCE, **settings[MODEL]}} if MODEL in settings else settings


@contextlib.contextmanager
def as_written(run_dir: Path) -> Iterator[None]:
    """Turns into a RunError what cannot be made of a `run.json`: another version may have written it."""
    try:
        yield
    except (TypeError, KeyError, ValueError) as error:
        raise RunError(
            f"{run_dir / RUN_FILE}: not what this version writes ({error}); use the one that wrote it, or train into a "
            "new directory"
        ) from error


def refuse_differences(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise RunError where two settings differ, naming each field with both values."""
    if changed := differences(old, new):
        raise RunError(f"{path}: other settings: {changed}; give the old ones, or a new directory")


def differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Each field in which two trees of settings differ, with both values; empty where none does."""
    old, new = dict(_flat(old)), dict(_flat(new))
    return "; ".join(
        f"{key} was {_shown(old.get(key, 'absent'))}, now {_shown(new.get(key, 'absent'))}"
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key] != new[key]
    )


def _shown(value: object) -> str:
    return text if len(text := str(value)) <= SHOWN else f"{text[:SHOWN]}…"


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
