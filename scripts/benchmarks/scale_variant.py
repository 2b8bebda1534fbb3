"""One stage of a dataset of many clips: seconds, processor time and peak memory of each of its parts."""

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.shard import plan_shards
from pipeline.corpora import folder, splits
from pipeline.corpora.catalog import Catalog
from pipeline.loading.columns import Planner
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.loading.dataset import load
from pipeline.records import checks, directory, storage
from pipeline.records.directory import DatasetDir, open_dataset, save_index
from pipeline.records.index import Index, Row
from pipeline.records.strings import StringArray
from pipeline.schema import SCHEMA_VERSION, BatchKey, Word
from pipeline.vocab import Vocabulary
from scripts.benchmarks import measure

GRAMMAR = (  # GRID's
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),
    ("eight", "five", "four", "nine", "one", "seven", "six", "three", "two", "zero"),
    ("again", "now", "please", "soon"),
)
WORDS = sorted({word for slot in GRAMMAR for word in slot})
FRAMES, SPEAKERS = 75, 1000
PIXELS, RECORD_BYTES = 300, 941_122  # where the pixels of a raw GRID record begin, and its mean length
HELD_OUT = 100  # one shard in so many is val, another test
BLOCK = 1_000_000  # rows made at once
BATCH = 32
Parts = Iterator[tuple[str, float]]  # what is done, and a number that it found


def write(root: Path, rows: int) -> Parts:
    """A finished dataset directory whose shards are holes of the right size."""
    config = ConvertConfig(name="scale")
    index = _index(rows, config.clips_per_shard)
    yield "columns made", sum(column.nbytes for column in index.columns().values())
    save_index(root / directory.INDEX, index)
    yield "index.npz", (root / directory.INDEX).stat().st_size
    counts = np.bincount(index.shard)
    split_of = np.zeros(len(counts), int)
    split_of[index.shard] = index.split
    described = {}
    for number, split in enumerate(splits.SPLITS):
        own = np.flatnonzero(split_of == number)
        entries = [
            _shard(root / directory.shard_name(config.name, split, place, len(own)), int(counts[shard]))
            for place, shard in enumerate(own)
        ]
        described[split] = {"records": sum(entry["records"] for entry in entries), "shards": entries}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "conversion": dataclasses.asdict(config),
        "vocabulary": {"characters": config.characters, "words": WORDS},
        "splits": described,
        "rejected": {},
        "index": {"file": directory.INDEX, "sha256": storage.sha256(root / directory.INDEX)},
    }
    storage.write_json(root / directory.MANIFEST, manifest)
    yield "manifest.json and shards", (root / directory.MANIFEST).stat().st_size


def _shard(path: Path, records: int) -> dict[str, object]:
    size = records * (RECORD_BYTES + checks.FRAMING_BYTES)
    with path.open("wb") as file:
        file.truncate(size)
    return {"file": path.name, "records": records, "bytes": size, "sha256": "0" * 64, "last_crc": "0" * 8}


def _index(rows: int, clips_per_shard: int) -> Index:
    """The index of `rows` clips, in which all but ids, texts and word times is the same in every row."""
    row = np.arange(rows)
    shard = row // clips_per_shard
    last = shard[-1]
    held_out = max(1, last // HELD_OUT)
    random = np.random.default_rng(0)
    first = np.arange(6) * 12 + random.integers(0, 4, (rows, 6))
    blocks = [_strings(random, row[start : start + BLOCK]) for start in range(0, rows, BLOCK)]
    columns = zip(*blocks, strict=True)
    ids, speakers, texts, words = (_packed(*zip(*column, strict=True)) for column in columns)
    return Index(
        split=(shard > last - 2 * held_out).astype(np.int64) + (shard > last - held_out),
        shard=shard,
        offset=row % clips_per_shard * (RECORD_BYTES + checks.FRAMING_BYTES),
        length=np.full(rows, RECORD_BYTES),
        pixels=np.full(rows, PIXELS),
        frames=np.full(rows, FRAMES),
        tracked=np.full(rows, FRAMES),
        doubt=np.zeros(rows, np.int64),
        id=ids,
        speaker=speakers,
        text=texts,
        doubt_cause=StringArray(np.zeros(0, np.uint8), np.zeros(rows, np.int64)),
        word_rows=np.arange(rows + 1) * 6,
        word_text=words,
        word_start=first.reshape(-1),
        word_stop=(first + random.integers(3, 9, (rows, 6))).reshape(-1),
        column_rows=np.zeros(rows + 1, np.int64),
        column_name=StringArray.of([]),
        column_value=StringArray.of([]),
    )


def _strings(random: np.random.Generator, row: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Bytes and lengths of the ids, speakers, texts and words of some rows."""
    speaker = random.permutation(row) % SPEAKERS
    slots = [np.array(slot, "S7")[random.integers(0, len(slot), len(row))] for slot in GRAMMAR]
    words = np.stack(slots, axis=1)  # [rows, 6] of 7 bytes
    spaced = np.concatenate([np.char.add(words[:, :-1], b" "), words[:, -1:].astype("S8")], axis=1)
    yield _unpadded(_numbered("s", speaker, 4, "/v") + _numbered("", row, 8, ""))
    yield _unpadded(_numbered("s", speaker, 4, ""))
    yield _unpadded([spaced.view("S48").reshape(-1)])
    yield _unpadded([words.reshape(-1)])


def _numbered(before: str, numbers: np.ndarray, digits: int, after: str) -> list[np.ndarray]:
    """Columns of bytes which, side by side, read as the numbers with leading zeros, between two texts."""
    own = [numbers // 10**place % 10 + ord("0") for place in reversed(range(digits))]
    sides = [np.full(len(numbers), ord(character)) for character in before + after]
    return [side.astype(np.uint8).view("S1") for side in [*sides[: len(before)], *own, *sides[len(before) :]]]


def _unpadded(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of fixed-width columns side by side without their padding, and the length of each row."""
    wide = np.stack(columns, axis=1)
    letters = wide.view(np.uint8).reshape(len(wide), -1)
    return letters[letters > 0], np.count_nonzero(letters, axis=1)


def _packed(data: tuple[np.ndarray, ...], lengths: tuple[np.ndarray, ...]) -> StringArray:
    return StringArray(np.concatenate(data), np.cumsum(np.concatenate(lengths)))


def index_rows(root: Path, rows: int) -> Parts:
    """The index as a conversion makes it, row by row."""
    made = (_row(number, [slot[number % len(slot)] for slot in GRAMMAR]) for number in range(rows))
    yield "index of rows", len(Index.of([(0, 0, made)]))


def _row(number: int, text: list[str]) -> Row:
    speaker = f"s{number % SPEAKERS:04d}"
    words = tuple(Word(word, 12 * place, 12 * place + 8) for place, word in enumerate(text))
    numbers = 0, RECORD_BYTES, PIXELS, FRAMES, FRAMES
    return Row(f"{speaker}/v{number:08d}", speaker, " ".join(text), *numbers, words)


def list_folder(root: Path, rows: int) -> Parts:
    """A folder corpus, listed and dealt. No video is there, since none is opened."""
    with (root / folder.TABLE).open("w", encoding="utf-8") as table:
        table.write("video,text,speaker\n")
        for n in range(rows):
            text, speaker = " ".join(slot[n % len(slot)] for slot in GRAMMAR), f"s{n % SPEAKERS:04d}"
            table.write(f"{speaker}/v{n:08d}.mp4,{text},{speaker}\n")
    yield "clips.csv written", rows
    catalog = Catalog.of(folder.clips(root))
    yield "listed", len(catalog)
    catalog = splits.assign(catalog, splits.SplitRule())
    yield "splits", len(catalog)
    yield "plan_shards", len(plan_shards(catalog, ConvertConfig(name="scale")))


def opened(root: Path, rows: int) -> Parts:
    """A dataset, opened; and its fingerprint, which a position names."""
    dataset = open_dataset(root)
    yield "open_dataset", len(dataset.index)
    yield "fingerprint", len(dataset.fingerprint)


def plan_sentences(root: Path, rows: int) -> Parts:
    """The first epoch of whole clips, spelled."""
    yield from _planned(root, "sentence", 0)


def plan_words(root: Path, rows: int) -> Parts:
    """The first epoch of words."""
    yield from _planned(root, "word", 0)


def resume_sentences(root: Path, rows: int) -> Parts:
    """The last batch of the sixth epoch, as a run that resumes there."""
    yield from _planned(root, "sentence", 5)


def _planned(root: Path, unit: str, epoch: int) -> Parts:
    dataset = open_dataset(root)
    yield "open_dataset", len(dataset.index)
    planner = Planner(dataset, "train", *_settings(dataset, unit), AugmentConfig())
    yield "examples", BATCH * planner.steps
    last = (epoch + 1) * planner.steps - 1
    planner(last, last + 1)
    yield "epoch and its last batch", planner.steps


def _settings(dataset: DatasetDir, unit: str) -> tuple[DataConfig, PlanConfig]:
    vocabulary = Vocabulary.of_words(WORDS) if unit == "word" else Vocabulary.of_characters()
    return DataConfig(vocabulary, unit), PlanConfig(BATCH)


def first_batch(root: Path, rows: int) -> Parts:
    """From opening to the first batch; its records, which are holes, are checked and left out."""
    dataset = open_dataset(root)
    yield "open_dataset", len(dataset.index)
    batches = load(dataset, "train", *_settings(dataset, "sentence"), on_bad_record="skip")
    yield "load", 0
    yield "first batch", len(next(iter(batches))[BatchKey.IDS])


BY_ROW = {"index": index_rows, "list": list_folder}
STAGES: dict[str, Callable[[Path, int], Parts]] = {
    **BY_ROW,
    "write": write,
    "open": opened,
    "sentences": plan_sentences,
    "words": plan_words,
    "resume": resume_sentences,
    "first batch": first_batch,
}


def main(stage: str, root: str, rows: int) -> dict[str, float]:
    """Runs a stage.

    Args:
      stage: one of `STAGES`.
      root: of the dataset, which `write` makes; for `BY_ROW`, of the corpus.
      rows: clips.

    Returns:
      Of each part `PART s`, `PART cpu_s`, `PART found` and `PART peak_mb`, the peak resident memory of the process so
      far; `before_mb`, that before the stage.
    """
    figures = {"items": rows, "before_mb": _peak_mb()}
    began = last = np.array([time.monotonic(), time.process_time()])
    for part, found in STAGES[stage](Path(root), rows):
        now = np.array([time.monotonic(), time.process_time()])
        seconds, cpu_s = (now - last).tolist()
        figures |= {f"{part} s": seconds, f"{part} cpu_s": cpu_s, f"{part} found": found, f"{part} peak_mb": _peak_mb()}
        last = now
    return {**figures, "seconds": float((last - began)[0])}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / measure.MB


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))), flush=True)
    os._exit(0)  # what is freed at the end is nobody's time
