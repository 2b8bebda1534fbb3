"""Makes a dataset directory of shards that lack an index, or have one of an older version; reads each record once."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.records import checks, directory, storage, tfds_metadata, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.example import from_example, parse
from pipeline.records.index import Index, Row
from pipeline.records.storage import Place
from pipeline.schema import SCHEMA_VERSION, DataError, Key

NAMING = "want NAME-SPLIT.tfrecord-00000-of-00001 and so on"
SHARD = re.compile(r"(.+)-([^-]+)\.tfrecord-\d{5}-of-(\d{5})")  # name, split, shards
MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}
OLD_VERSION = 2  # one image a frame, and no place of the pixels in the index
PARTS = ("schema_version", "conversion", "vocabulary", "splits", "rejected", "index")  # of a manifest, in order
Shards = dict[str, list[Place]]  # split -> its shards in order


def index(root: str | Place) -> Iterator[Place]:
    """Indexes shards that another program wrote with the keys of `schema.Key`; yields each when it has been read.

    How their crops were made is not known and left out of the manifest: a run on them takes the defaults of
    `CropSettings` for it, and they are not mixed with other datasets.

    Raises:
      DataError: the directory has a manifest already, its files are not named like the shards of one dataset, one is
        missing or compressed, a record is damaged or malformed, an id comes twice, or frame rates differ.
    """
    root = storage.place(root)
    if storage.exists(root / directory.MANIFEST):
        raise DataError(f"{root}: has a {directory.MANIFEST}; it is indexed already")
    name, shards = _shards(root)
    features = parse(_first_record(shards)).features.feature
    frames, rates = features[str(Key.FRAMES)].bytes_list.value, features[str(Key.FPS)].float_list.value
    kind = next((kind for magic, kind in MAGIC.items() if frames and frames[0].startswith(magic)), "raw")
    fps = float(str(np.float32(rates[0]))) if rates else 0.0
    conversion = {"name": name, "crop": {}, "fps": fps, "encoding": vars(Encoding(kind))}
    yield from _describe(root, shards, {"conversion": conversion, "rejected": {}})


def upgrade(root: str | Place) -> Iterator[Place]:
    """Turns a dataset of schema version 2 into one of version 3, in place; yields each shard when it is done.

    Raw shards stay as they are. Images of one frame are decoded and encoded as tall ones, png without loss, jpeg with a
    second one at the same quality. After a stop, the next run goes on.

    Raises:
      DataError: the dataset is of another version, a shard is missing or not what the manifest says, or a record is
        damaged.
    """
    root = storage.place(root)
    manifest = directory.read_manifest(root)
    if (version := manifest.get("schema_version")) != OLD_VERSION:
        raise DataError(f"{root}: schema_version {version}; only version {OLD_VERSION} can be upgraded")
    checks.check_manifest(root / directory.MANIFEST, manifest)
    encoding = Encoding(**manifest["conversion"]["encoding"])
    shards = {name: [root / each["file"] for each in split["shards"]] for name, split in manifest["splits"].items()}
    if missing := [path for own in shards.values() for path in own if not storage.exists(path)]:
        raise DataError(f"{missing[0]}: missing; restore it")
    yield from _describe(root, shards, manifest, prepare=_join_images if encoding.name != "raw" else None)


def _shards(root: Place) -> tuple[str, Shards]:
    """The name and the shards of a directory, by their file names."""
    shards: dict[tuple[str, str, int], list[Place]] = {}
    for path in (root / name for name in storage.names(root) if ".tfrecord" in name):
        if (match := SHARD.fullmatch(path.name)) is None:
            raise DataError(f"{path}: {NAMING}; rename it")
        shards.setdefault((match[1], match[2], int(match[3])), []).append(path)
    for (name, split, count), found in shards.items():
        wanted = {directory.shard_name(name, split, shard, count) for shard in range(count)}
        if missing := wanted - {path.name for path in found}:
            raise DataError(f"{root / min(missing)}: missing; restore it")
    by_split = {split: found for (_, split, _), found in shards.items()}
    if len({name for name, _, _ in shards}) != 1 or len(by_split) < len(shards):
        raise DataError(f"{root}: want the TFRecords of one dataset; {NAMING}")
    return next(iter(shards))[0], by_split


def _first_record(shards: Shards) -> bytes:
    records = (record for own in shards.values() for path in own for _, record in _records(path))
    if (record := next(records, None)) is None:
        raise DataError(f"{next(iter(shards.values()))[0].parent}: the shards hold no record")
    return record


def _records(path: Place) -> Iterator[tuple[int, bytes]]:
    """Yields the offset and payload of every record of a shard."""
    offset, size = 0, storage.size(path)
    while offset < size:
        try:
            record = tfrecord.payload(path, offset, tfrecord.stated_length(path, offset, size))
        except ValueError as error:
            raise DataError(f"{path} offset {offset}: {error}; restore the shard") from error
        yield offset, record
        offset += tfrecord.HEADER_BYTES + len(record) + tfrecord.FOOTER_BYTES


def _describe(
    root: Place, shards: Shards, known: dict[str, Any], prepare: Callable[[Place, Encoding], None] | None = None
) -> Iterator[Place]:
    """Writes the index, the files for tensorflow-datasets and, last, a manifest with what is `known` of it."""
    encoding = Encoding(**known["conversion"]["encoding"])
    rows: list[tuple[int, int, list[Row]]] = []
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in shards}
    had = {shard["file"]: shard for split in known.get("splits", {}).values() for shard in split["shards"]}
    for number, (split, path) in enumerate((split, path) for split, own in shards.items() for path in own):
        if prepare:
            prepare(path, encoding)
        found = [_row(path, *record, known["conversion"]["fps"], encoding) for record in _records(path)]
        rows.append((list(shards).index(split), number, found))
        figures = {"bytes": storage.size(path), "sha256": storage.sha256(path)}
        if problem := _changed(had.get(path.name), len(found), None if prepare else figures["sha256"]):
            raise DataError(f"{path}: {problem}; restore it, or convert again")
        entries[split].append(
            {"file": path.name, "records": len(found), **figures, "last_crc": directory.last_crc(path)}
        )
        yield path
    index = Index.of(rows)
    directory.save_index(root / directory.INDEX, index)
    texts = index.text.tolist()
    manifest = {
        "vocabulary": {
            "characters": "".join(sorted(set("".join(texts)))),
            "words": sorted(set(" ".join(texts).split())),
        },
        **known,
        "schema_version": SCHEMA_VERSION,
        "splits": {split: {"records": sum(e["records"] for e in own), "shards": own} for split, own in entries.items()},
        "index": {"file": directory.INDEX, "sha256": storage.sha256(root / directory.INDEX)},
    }
    manifest = {part: manifest[part] for part in PARTS}
    checks.check_manifest(root / directory.MANIFEST, manifest)
    checks.check_index(root / directory.INDEX, index.columns(), manifest)
    tfds_metadata.write(root, manifest, index.has_columns)
    storage.write_json(root / directory.MANIFEST, manifest)


def _changed(had: dict[str, Any] | None, records: int, sha256: str | None) -> str | None:
    """What differs between a shard and the manifest that lists it; None as `sha256` of one that was written anew."""
    if had and records != had["records"]:
        return f"has {records} records, the manifest says {had['records']}"
    return "has changed since the conversion" if had and sha256 not in (None, had["sha256"]) else None


def _row(path: Place, offset: int, record: bytes, fps: float, encoding: Encoding) -> Row:
    try:
        clip = from_example(record, encoding)
    except DataError as error:
        raise DataError(f"{path} offset {offset}: {error}") from error
    if np.float32(clip.fps) != np.float32(fps):
        raise DataError(f"{path} offset {offset}: {clip.fps:g} frames a second, others {fps:g}; want one rate")
    return Row.of(clip, record, offset)


def _join_images(path: Place, encoding: Encoding) -> None:
    """Rewrites a shard of images of one frame as a shard of tall images; leaves one of those as it is."""
    with tfrecord.ShardWriter(path) as writer:
        for offset, record in _records(path):
            try:
                writer.write(_with_tall_images(record, encoding))
            except (ValueError, DataError) as error:
                raise DataError(f"{path} offset {offset}: {error}; restore the shard, or convert again") from error


def _with_tall_images(record: bytes, encoding: Encoding) -> bytes:
    example = parse(record)
    values = example.features.feature[str(Key.FRAMES)].bytes_list.value
    with contextlib.suppress(ValueError):
        encoding.count(list(values))
        return record  # an earlier run has come so far
    frames = np.concatenate([encoding.decode([value]) for value in values])
    values[:] = encoding.encode(frames)
    return example.SerializeToString(deterministic=True)
