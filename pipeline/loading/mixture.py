"""Several dataset directories as one."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import vocab
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index, shift_concatenate
from pipeline.records.strings import StringArray
from pipeline.schema import DataError

PARTS = "datasets"  # the key of a mixture's manifest that lists what it is made of


def join(datasets: Sequence[DatasetDir]) -> DatasetDir:
    """Datasets of the same crops, frame rate and encoding, split by split; one alone is itself.

    Clip ids become `name:id`, after the directory's name. `PlanConfig.mix` says how much of an epoch each fills.

    Raises:
      DataError: they were converted with other settings, which are named, or two directories have the same name.
    """
    if len(datasets) == 1:
        return datasets[0]
    first = datasets[0]
    for other in datasets[1:]:
        _check_alike(first, other)
    names = [dataset.root.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise DataError(f"{', '.join(names)}: ids would collide; give each directory a name of its own")
    splits = list(dict.fromkeys(split for dataset in datasets for split in dataset.splits))
    return DatasetDir(
        root=Path(" + ".join(str(dataset.root) for dataset in datasets)),
        manifest=_manifest(datasets, splits),
        index=_index(datasets, splits),
        shards=tuple(shard for dataset in datasets for shard in dataset.shards),
    )


def sources(dataset: DatasetDir, record: np.ndarray) -> np.ndarray:
    """Which dataset of a mixture each index row int64 [N] is from, int64 [N]; 0 where there is but one."""
    ends = np.cumsum([part["records"] for part in dataset.manifest.get(PARTS, [])], dtype=np.int64)
    return np.searchsorted(ends[:-1], record, side="right")


def own_ids(dataset: DatasetDir) -> StringArray:
    """The ids as the records have them: a mixture's without the name of the dataset."""
    if PARTS not in dataset.manifest:
        return dataset.index.id
    before = [len(part["name"]) + 1 for part in dataset.manifest[PARTS]]
    parts = sources(dataset, np.arange(len(dataset.index)))
    return StringArray.of(name[before[part] :] for name, part in zip(dataset.index.id, parts, strict=True))


def _check_alike(one: DatasetDir, other: DatasetDir) -> None:
    have, want = other.manifest["conversion"], one.manifest["conversion"]
    keys = [key for key in ("crop", "fps", "encoding") if have[key] != want[key]]
    if keys:
        shown = "; ".join(f"{key} is {have[key]}, of {one.root} {want[key]}" for key in keys)
        raise DataError(f"{other.root}: cannot be mixed: {shown}; convert one of them anew")
    alphabets = {dataset.manifest["vocabulary"]["characters"] for dataset in (one, other)}
    if len(alphabets) > 1 and any(vocab.UNKNOWN in alphabet for alphabet in alphabets):
        raise DataError(
            f"{other.root}: cannot be mixed: its alphabet is another than that of {one.root}, so is what is unknown; "
            "convert one of them anew, with the other's --alphabet and --unknown"
        )


def _manifest(datasets: Sequence[DatasetDir], splits: list[str]) -> dict[str, Any]:
    manifests = [dataset.manifest for dataset in datasets]
    known = [manifest["vocabulary"] for manifest in manifests]
    return {
        **{key: manifests[0][key] for key in ("schema_version", "conversion")},
        "vocabulary": {
            "characters": "".join(dict.fromkeys("".join(each["characters"] for each in known))),
            "words": sorted({word for each in known for word in each["words"]}),
        },
        "splits": {split: {"records": sum(_records(m, split) for m in manifests)} for split in splits},
        PARTS: [{"name": d.root.name, "records": len(d.index), "manifest_sha256": d.fingerprint} for d in datasets],
    }


def _records(manifest: dict[str, Any], split: str) -> int:
    return manifest["splits"].get(split, {"records": 0})["records"]


def _index(datasets: Sequence[DatasetDir], splits: list[str]) -> Index:
    """Rows of one dataset after the other's."""
    places = [np.array([splits.index(split) for split in dataset.splits]) for dataset in datasets]
    return dataclasses.replace(
        Index.concatenate([dataset.index for dataset in datasets]),
        split=np.concatenate([place[d.index.split] for place, d in zip(places, datasets, strict=True)]),
        shard=shift_concatenate([d.index.shard for d in datasets], [len(d.shards) for d in datasets]),
        id=StringArray.of(f"{d.root.name}:{name}" for d in datasets for name in d.index.id),
    )
