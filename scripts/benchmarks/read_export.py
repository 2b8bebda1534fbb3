"""Writes the same clips for every reader: our shards, .npy files, tar shards, and two kinds of TFRecords."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.records import storage, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.directory import INDEX, MANIFEST, DatasetDir, read_record, save_index, shard_name
from pipeline.records.example import to_example
from pipeline.records.index import Index, Row
from pipeline.schema import CONTEXT, Clip

FORMS = ("raw", "jpeg", "npy", "tar", "dmvr", "stacks")  # ours twice, PyTorch's, WebDataset's, DMVR's, the tutorials'
SHARDS = 4
STACKED = 24  # clips of the tutorials' form at most: 18 MB each


def export(dataset: DatasetDir, records: Sequence[int], root: Path) -> dict[str, float]:
    """Writes the clips below `root` in all forms; returns the bytes a clip of each."""
    clips = [read_record(dataset, record) for record in records]
    for name in ("raw", "jpeg"):
        _ours(dataset, clips, Encoding(name), root / name)
    _npy(clips, root / "npy")
    _tar(clips, root / "tar")
    _records(clips, _sequence, root / "dmvr")
    _records(clips[:STACKED], _stack, root / "stacks")
    counts = {"stacks": min(STACKED, len(clips))}
    return {path.name: _size(path) / counts.get(path.name, len(clips)) for path in root.iterdir()}


def _dealt(clips: list[Clip]) -> Iterator[tuple[int, list[Clip]]]:
    yield from ((shard, clips[shard::SHARDS]) for shard in range(min(SHARDS, len(clips))))


def _ours(dataset: DatasetDir, clips: list[Clip], encoding: Encoding, root: Path) -> None:
    """Writes a dataset directory with one split, `train`."""
    root.mkdir()
    rows, described = [], []
    for shard, own in _dealt(clips):
        path = root / shard_name("clips", "train", shard, min(SHARDS, len(clips)))
        with tfrecord.ShardWriter(path) as writer:
            written = [(clip, to_example(clip, encoding)) for clip in own]
            rows.append((0, shard, [Row.of(clip, one, writer.write(one)) for clip, one in written]))
        figures = {"records": len(own), "bytes": path.stat().st_size, "sha256": storage.sha256(path)}
        described.append({"file": path.name, **figures})
    save_index(root / INDEX, Index.of(rows))
    texts = [clip.text for clip in clips]
    manifest = {
        **dataset.manifest,
        "conversion": {
            **dataset.manifest["conversion"],
            "encoding": {"name": encoding.name, "quality": encoding.quality},
        },
        "vocabulary": {
            "characters": "".join(sorted(set("".join(texts)))),
            "words": sorted(set(" ".join(texts).split())),
        },
        "splits": {"train": {"records": len(clips), "shards": described}},
        "index": {"file": INDEX, "sha256": storage.sha256(root / INDEX)},
    }
    storage.write_json(root / MANIFEST, manifest)


def _npy(clips: list[Clip], root: Path) -> None:
    root.mkdir()
    for number, clip in enumerate(clips):
        np.save(root / f"{number:05}.npy", clip.frames)
    (root / "texts.json").write_text(json.dumps([clip.text for clip in clips]))


def _tar(clips: list[Clip], root: Path) -> None:
    root.mkdir()
    for shard, own in _dealt(clips):
        with tarfile.open(root / f"{shard:05}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, clip in enumerate(own):
                pixels = io.BytesIO()
                np.save(pixels, clip.frames)
                for kind, content in (("npy", pixels.getvalue()), ("txt", clip.text.encode())):
                    member = tarfile.TarInfo(f"{number:05}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def _records(clips: list[Clip], serialize: Callable[[Clip], bytes], root: Path) -> None:
    root.mkdir()
    for shard, own in _dealt(clips):
        with tf.io.TFRecordWriter(str(root / f"{shard:05}.tfrecord")) as writer:
            for clip in own:
                writer.write(serialize(clip))


def _bytes(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _sequence(clip: Clip) -> bytes:
    """A JPEG frame a step."""
    encoded = (Encoding("jpeg").encode(frame[np.newaxis]) for frame in clip.frames)
    images = tf.train.FeatureList(feature=[_bytes(*image) for image in encoded])
    return tf.train.SequenceExample(
        context=tf.train.Features(feature={"text": _bytes(clip.text.encode())}),
        feature_lists=tf.train.FeatureLists(feature_list={"image/encoded": images}),
    ).SerializeToString()


def _stack(clip: Clip) -> bytes:
    """All windows as floats of 0 to 1."""
    windows = np.lib.stride_tricks.sliding_window_view(clip.frames, CONTEXT, axis=0)
    floats = tf.train.FloatList(value=(windows / np.float32(255)).ravel())
    feature = {"windows": tf.train.Feature(float_list=floats), "text": _bytes(clip.text.encode())}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())
