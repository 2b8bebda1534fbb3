"""Small datasets and corpora, made for tests: clips whose every pixel is known."""

import contextlib
import copy
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.conversion.config import ConvertConfig
from pipeline.records import directory, storage, tfds_metadata, tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.example import pixels_offset, to_example
from pipeline.records.index import Index, Row
from pipeline.schema import CROP, SCHEMA_VERSION, Clip, DataError, Word

GOLDEN = Path(__file__).parent / "golden"  # files of an older version
SPOKEN = (("bin", 1, 4), ("at", 4, 8), ("now", 8, 10))  # word, first frame, the frame after its last
SENTENCE = "bin at now"
CAUSE = "the mouth is hidden"


def pixels(frames: int, seed: int, side: int = CROP) -> np.ndarray:
    """uint8 [frames, side, side]: a soft slope, another one in every frame of every seed."""
    place = np.arange(side)
    bend = np.add.outer(place * (seed % 3 + 1), place) * (100 / side)
    return (20 + 3 * np.arange(frames)[:, None, None] % 90 + 5 * (seed % 10) + bend / 4).astype(np.uint8)


def clip(name: str, frames: int, words: Sequence[tuple[str, int, int]] = SPOKEN, seed: int = 0) -> Clip:
    spoken = tuple(Word(*word) for word in words)
    return Clip(
        id=name,
        speaker=name.split("/")[0],
        text=" ".join(word.text for word in spoken) or SENTENCE,
        source=f"{name}.mp4",
        fps=25.0,
        frames=pixels(frames, seed),
        tracked=np.arange(frames) != 3,
        words=spoken,
        doubt=seed % 3 / 4,
        doubt_cause=CAUSE if seed % 3 == 2 else "",
    )


def write_dataset(
    root: Path, splits: dict[str, list[list[Clip]]], encoding: Encoding | None = None
) -> directory.DatasetDir:
    """A finished dataset directory: split -> shards -> clips."""
    encoding = encoding or Encoding()
    root.mkdir(parents=True, exist_ok=True)
    rows, described = [], {}
    for number, (split, files) in enumerate(splits.items()):
        entries = []
        for place, clips in enumerate(files):
            path = root / directory.shard_name("tiny", split, place, len(files))
            own = _write_shard(path, clips, encoding)
            rows.append((number, len(rows), own))
            entries.append({"file": path.name, "records": len(own), **_described(path)})
        described[split] = {"records": sum(entry["records"] for entry in entries), "shards": entries}
    index = Index.of(rows)
    directory.save_index(root / directory.INDEX, index)
    config = ConvertConfig(name="tiny", encoding=encoding)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conversion": dataclasses.asdict(config),
        "vocabulary": {"characters": config.characters, "words": sorted(set(" ".join(index.text).split()))},
        "splits": described,
        "rejected": {},
        "index": {"file": directory.INDEX, "sha256": storage.sha256(root / directory.INDEX)},
    }
    tfds_metadata.write(root, manifest, index.has_columns)
    storage.write_json(root / directory.MANIFEST, manifest)
    return directory.open_dataset(root)


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": storage.sha256(path), "last_crc": directory.last_crc(path)}


def _write_shard(path: Path, clips: list[Clip], encoding: Encoding) -> list[Row]:
    with tfrecord.ShardWriter(path) as writer:
        records = [to_example(clip, encoding) for clip in clips]
        return [Row.of(c, r, writer.write(r)) for c, r in zip(clips, records, strict=True)]


def with_record(dataset: directory.DatasetDir, record: int, payload: bytes) -> directory.DatasetDir:
    """A dataset with other bytes in the place of a record, CRCs, index and manifest fitting; it is opened anew."""
    index, number = dataset.index, dataset.index.shard[record]
    offset, length, pixels = index.offset.copy(), index.length.copy(), index.pixels.copy()
    path, rows = dataset.shards[number], np.flatnonzero(index.shard == number)
    file, begins = path.read_bytes(), offset[rows] + tfrecord.HEADER_BYTES
    payloads = [file[begin : begin + size] for begin, size in zip(begins, length[rows], strict=True)]
    payloads[list(rows).index(record)] = payload
    with tfrecord.ShardWriter(path) as writer:
        offset[rows] = [writer.write(each) for each in payloads]
    length[record] = len(payload)
    with contextlib.suppress(DataError):  # it may hold no frames
        pixels[record] = pixels_offset(payload)
    places = {"offset": offset, "length": length, "pixels": pixels}
    directory.save_index(dataset.root / directory.INDEX, dataclasses.replace(index, **places))
    manifest = copy.deepcopy(dataset.manifest)
    entry = [entry for split in manifest["splits"].values() for entry in split["shards"]][number]
    entry.update(_described(path))
    manifest["index"]["sha256"] = storage.sha256(dataset.root / directory.INDEX)
    storage.write_json(dataset.root / directory.MANIFEST, manifest)
    return directory.open_dataset(dataset.root)


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Turns over one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def write_video(path: Path, frames: np.ndarray) -> None:
    """uint8 [F, H, W] as MPEG-4 at 25 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))


def write_alignment(path: Path, words: Sequence[tuple[str, int, int]] = SPOKEN) -> None:
    """A GRID alignment; frame k begins at 1000 k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{1000 * start} {1000 * stop} {text}\n" for text, start, stop in words))


def write_grid_clip(root: Path, name: str, frames: int, words: Sequence[tuple[str, int, int]] = SPOKEN) -> Path:
    """A clip such as `s1/bbaf2n`, 64x64 pixels, and its alignment."""
    video = root / f"{name}.mp4"
    write_video(video, pixels(frames, seed=len(list(root.glob("s*/*.mp4"))), side=64))
    write_alignment(root / "alignments" / f"{name}.align", words)
    return video


def multiply(corpus: Path, root: Path, times: int) -> Path:
    """Copies a corpus in the layout of GRID so many times into `root`, each clip under names of its own."""
    for path in (path for path in corpus.rglob("*.*") if path.is_file()):
        place = (root / path.relative_to(corpus)).parent
        place.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            shutil.copyfile(path, place / f"{path.stem}{number}{path.suffix}")
    return root
