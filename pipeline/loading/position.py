"""The position of a stream: one integer in a small file, refused for another stream."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records import identity, storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError

VERSION = 1  # 0: a file without a version, in which `padding` was `edge`
MAX_CHARACTERS = 32  # of a value that is kept as it is; a longer one is kept as the start of its SHA-256
WORKERS = ("worker", "workers")  # no part of a stream's identity: the global batches are the same


def save(
    path: str | Path,
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
    *,
    step: int,
) -> None:
    """Writes that `step` batches of `dataset.load(dataset, split, config, order, augmented)` have been taken.

    The file is JSON of less than 1 KB. It is replaced as a whole, so a reader never sees half of it.

    Raises:
      ValueError: `step` is negative.
    """
    if step < 0:
        raise ValueError(f"step: want 0 or more, got {step}")
    stream = _identity(dataset.fingerprint, split, config, order, augmented)
    storage.write_json(storage.local(path), {"version": VERSION, "step": step, **stream})


def load(
    path: str | Path,
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
) -> int:
    """Reads the step that `save` wrote, for `dataset.load(…, step=…)`.

    A setting that the file lacks, since it is newer than the file, had its default.

    Raises:
      DataError: the file is missing, is not one that `save` wrote, is of a newer version, or belongs to another
        stream; each difference is named.
    """
    path = storage.local(path)
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no saved position ({error}); name a file that position.save wrote") from error
    if not isinstance(saved, dict) or not isinstance(step := saved.pop("step", None), int) or step < 0:
        raise DataError(f"{path}: no saved position; name a file that position.save wrote")
    version = saved.pop("version", 0)
    if version not in range(VERSION + 1):
        raise DataError(f"{path}: position of version {version}, this program reads up to {VERSION}; update Lipflow")
    if version == 0 and "edge" in saved:
        saved["padding"] = saved.pop("edge")
    now = _identity(dataset.fingerprint, split, config, order, augmented)
    if differing := identity.differences({**_defaults(), **saved}, now):
        raise DataError(
            f"{path}: belongs to another stream: {'; '.join(differing)}; use the old settings, or start anew"
        )
    return step


@functools.lru_cache(maxsize=8)  # a position may be saved at each step
def _identity(
    manifest: str, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None
) -> dict[str, Any]:
    """Every setting that decides a stream, by name."""
    settings = {"manifest": manifest, "split": split, "vocabulary": dataclasses.asdict(config.vocabulary)}
    for part in (config, order, augmented or AugmentConfig()):
        fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        settings |= {name: value for name, value in fields.items() if name not in ("vocabulary", *WORKERS)}
    return {name: _shortened(value) for name, value in settings.items()}


def _defaults() -> dict[str, Any]:
    """The default of every setting that has one."""
    fields = [field for part in (DataConfig, PlanConfig, AugmentConfig) for field in dataclasses.fields(part)]
    defaults = {field.name: field.default for field in fields if field.name not in WORKERS}
    return {name: _shortened(value) for name, value in defaults.items() if value is not dataclasses.MISSING}


def _shortened(value: Any) -> Any:
    text = json.dumps(value)  # not `identity.canonical`: positions of version 0 hold the SHA-256 of this spelling
    return value if len(text) <= MAX_CHARACTERS else f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
