"""Where a stream was left off: one integer in a small file, refused for another stream."""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.loading.augment import AugmentConfig
from pipeline.loading.examples import DataConfig
from pipeline.loading.plan import PlanConfig
from pipeline.records import storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError

LONGEST = 32  # characters of a value that is kept as it is; of a longer one, the start of its SHA-256
WORKERS = ("worker", "workers")  # no part of a stream's identity: the global batches are the same


def save(
    path: Path,
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
    *,
    step: int,
) -> None:
    """Writes that `step` batches of `dataset.load(dataset, split, config, order, augmented)` have been taken.

    The file is JSON of less than 1 KB, whole or not there at all.
    """
    if step < 0:
        raise ValueError(f"step: want 0 or more, got {step}")
    storage.write_json(path, {"step": step, **_identity(dataset.fingerprint, split, config, order, augmented)})


def load(
    path: Path,
    dataset: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
) -> int:
    """The step that `save` wrote, for `dataset.load(…, step=…)`.

    Raises:
      DataError: no such file, not one that `save` wrote, or another stream's; each difference is named.
    """
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no saved position ({error}); name a file that position.save wrote") from error
    if not isinstance(saved, dict) or not isinstance(step := saved.pop("step", None), int) or step < 0:
        raise DataError(f"{path}: no saved position; name a file that position.save wrote")
    now = _identity(dataset.fingerprint, split, config, order, augmented)
    differing = [
        f"{key} was {saved.get(key, 'absent')}, now {now.get(key, 'absent')}"
        for key in sorted(saved.keys() | now.keys())
        if saved.get(key, "absent") != now.get(key, "absent")
    ]
    if differing:
        raise DataError(f"{path}: of another stream: {'; '.join(differing)}; give the old ones, or start anew")
    return step


@functools.lru_cache(maxsize=8)  # a position may be saved at each step
def _identity(
    manifest: str, split: str, config: DataConfig, order: PlanConfig, augmented: AugmentConfig | None
) -> dict[str, Any]:
    """All that decides a stream, by name."""
    settings = {"manifest": manifest, "split": split, "vocabulary": dataclasses.asdict(config.vocabulary)}
    for part in (config, order, augmented or AugmentConfig()):
        fields = {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        settings |= {name: value for name, value in fields.items() if name not in ("vocabulary", *WORKERS)}
    return {name: _short(value) for name, value in settings.items()}


def _short(value: Any) -> Any:
    value = json.loads(json.dumps(value))  # as it will be read: tuples are lists
    text = json.dumps(value)
    return value if len(text) <= LONGEST else f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
