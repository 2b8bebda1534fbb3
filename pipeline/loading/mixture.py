"""Joins several dataset directories to one."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import vocab
from pipeline.records.bucket import Url
from pipeline.records.directory import DatasetDir
from pipeline.records.index import Index
from pipeline.records.storage import Place
from pipeline.records.strings import StringArray, shift_concatenate
from pipeline.schema import DataError

PARTS = "datasets"  # the key in a mixture's manifest that lists its datasets


def join(datasets: Sequence[DatasetDir]) -> DatasetDir:
    """Joins datasets of the same crop, frame rate and encoding, split by split; a single dataset is returned as it is.

    Clip ids become `name:id` with the directory's name. `PlanConfig.mix` sets the share of an epoch of each dataset.

    Raises:
      DataError: crop, frame rate, encoding or alphabet differ, or two directories have the same name.
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
        root=_root(datasets),
        manifest=_manifest(datasets, splits),
        index=_index(datasets, splits),
        shards=tuple(shard for dataset in datasets for shard in dataset.shards),
        fetcher=next((each.fetcher for each in datasets if isinstance(each.root, Url)), first.fetcher),
    )


def _root(datasets: Sequence[DatasetDir]) -> Place:
    """All roots in one, for messages."""
    shown = " + ".join(str(dataset.root) for dataset in datasets)
    return Url(shown) if any(isinstance(dataset.root, Url) for dataset in datasets) else Path(shown)


def sources(dataset: DatasetDir, record: np.ndarray) -> np.ndarray:
    """int32 [N]: the dataset of a mixture from which each index row, [N], comes; 0, broadcast, if there is only one."""
    if PARTS not in dataset.manifest:
        return np.broadcast_to(np.int32(0), record.shape)
    ends = np.cumsum([part["records"] for part in dataset.manifest[PARTS]], dtype=np.int64)
    return np.searchsorted(ends[:-1], record, side="right").astype(np.int32)


def own_ids(dataset: DatasetDir) -> StringArray:
    """The clip ids as the records hold them, without the dataset name that a mixture adds."""
    if PARTS not in dataset.manifest:
        return dataset.index.id
    stops = np.cumsum([part["records"] for part in dataset.manifest[PARTS]]).tolist()
    parts = zip(dataset.manifest[PARTS], itertools.pairwise([0, *stops]), strict=True)
    own = [dataset.index.id[first:stop].without(_prefix(part["name"])) for part, (first, stop) in parts]
    return StringArray.concatenate(own)


def _prefix(name: str) -> str:
    return f"{name}:"


def _check_alike(one: DatasetDir, other: DatasetDir) -> None:
    have, want = other.manifest["conversion"], one.manifest["conversion"]
    keys = [key for key in ("crop", "fps", "encoding") if have[key] != want[key]]
    if keys:
        shown = "; ".join(f"{key} is {have[key]}, of {one.root} {want[key]}" for key in keys)
        raise DataError(f"{other.root}: cannot be mixed: {shown}; convert one of them anew")
    alphabets = {dataset.manifest["vocabulary"]["characters"] for dataset in (one, other)}
    if len(alphabets) > 1 and any(vocab.UNKNOWN in alphabet for alphabet in alphabets):
        raise DataError(
            f"{other.root}: cannot be mixed: its alphabet, so its unknown characters, differ from those of {one.root}; "
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
    """The concatenated rows, with splits and shards numbered anew."""
    numbers = [np.array([splits.index(split) for split in dataset.splits]) for dataset in datasets]
    return dataclasses.replace(
        Index.concatenate([dataset.index for dataset in datasets]),
        split=np.concatenate([own[d.index.split] for own, d in zip(numbers, datasets, strict=True)]),
        shard=shift_concatenate([d.index.shard for d in datasets], [len(d.shards) for d in datasets]),
        id=StringArray.concatenate([d.index.id.behind(_prefix(d.root.name)) for d in datasets]),
    )
