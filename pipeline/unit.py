"""The unit of work of a conversion: which clips make a shard, and the shard made from them."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from pipeline import done, pool, shards, video, vocab
from pipeline.corpora import paths
from pipeline.corpora.listing import Chosen, Listing
from pipeline.corpora.source import ClipSource, printable
from pipeline.corpora.splits import SPLITS
from pipeline.done import Outcome, Rejected, Spent
from pipeline.index import Row
from pipeline.mouth import Crops, CropSettings, MouthCropper
from pipeline.schema import CONTEXT, Clip, ClipError, DataError, Encoding, Reason, Word, to_example

LONGEST_DETAIL = 500  # characters, of a text that may have a million
PAST_END = 3  # frames that a word may outlast its clip, as alignments round


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Everything that decides the bytes of a conversion, beside the clips.

    Attributes:
      name: of the dataset, the beginning of its shards' names.
      crop: where the mouth is found and what is cut out.
      encoding: how frames are stored.
      fps: frames a second of the records; videos of another rate are resampled.
      clips_per_shard: at most; raw, 100 clips of 75 frames are 94 MB.
      max_frames: of a clip, which bounds the memory of a worker.
      overlong: `reject` longer clips, or `truncate` them: their first frames stay, with the words that end in them and
        the text of these; one without word times is rejected, as what is said in those frames is not known.
      alphabet: the characters a transcript may hold.
      unknown: `reject` a clip with another character, or write `vocab.UNKNOWN` in its place (`unk`).
      seed: of the order of the clips in the shards.
    """

    name: str
    crop: CropSettings = dataclasses.field(default_factory=CropSettings)
    encoding: Encoding = dataclasses.field(default_factory=Encoding)
    fps: float = 25.0
    clips_per_shard: int = 100
    max_frames: int = 1000
    overlong: Literal["reject", "truncate"] = "reject"
    alphabet: str = vocab.ALPHABET
    unknown: Literal["reject", "unk"] = "reject"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or not set(self.name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789_"):
            raise ValueError(f"name: want letters, digits and _, got {self.name!r}")
        if not 1 <= self.fps <= 240:
            raise ValueError(f"fps: want 1 to 240, got {self.fps}")
        if self.clips_per_shard < 1:
            raise ValueError(f"clips_per_shard: want at least 1, got {self.clips_per_shard}")
        if self.max_frames < CONTEXT:
            raise ValueError(f"max_frames: want at least {CONTEXT}, got {self.max_frames}")
        if not self.alphabet or len(set(self.alphabet)) != len(self.alphabet):
            raise ValueError(f"alphabet: want characters, each once, got {self.alphabet!r}")
        for name, ways in (("overlong", ("reject", "truncate")), ("unknown", ("reject", "unk"))):
            if getattr(self, name) not in ways:
                raise ValueError(f"{name}: want {' or '.join(ways)}, got {getattr(self, name)!r}")
        if self.unknown == "unk" and (" " not in self.alphabet or vocab.UNKNOWN in self.alphabet):
            rule = f"want a space among the characters, and {vocab.UNKNOWN} only for those that are not"
            raise ValueError(f"alphabet: {rule} (unknown=unk), got {self.alphabet!r}")

    @property
    def characters(self) -> str:
        """What texts of the dataset are made of."""
        return self.alphabet + vocab.UNKNOWN * (self.unknown == "unk")


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """The unit of work: which clips go into which shard, in which order."""

    split: str
    shard: int
    shards: int
    sources: Sequence[ClipSource]

    def file(self, name: str) -> str:
        return shards.shard_name(name, self.split, self.shard, self.shards)


def plan_shards(sources: Iterable[ClipSource], config: ConvertConfig) -> list[ShardTask]:
    """Every split's clips in a seeded permutation of their sorted ids, cut into shards of nearly equal size.

    Raises:
      DataError: there are no clips.
    """
    listing = Listing.of(sources)
    if not len(listing):
        raise DataError("the corpus has no clips, nothing to convert; see how --source has to be laid out (--help)")
    if strays := set(listing.split.values) - set(SPLITS):
        stray = listing.ids[listing.split.rows(*strays)[0]]
        raise ValueError(f"split: want one of {', '.join(SPLITS)} for every clip, not so for {stray}")
    tasks = []
    for number, split in enumerate(SPLITS):
        members = listing.split.rows(split)
        order = np.random.default_rng((config.seed, number)).permutation(len(members))
        count = -(-len(members) // config.clips_per_shard)
        for shard, chosen in enumerate(np.array_split(order, count) if count else []):
            tasks.append(ShardTask(split, shard, count, Chosen(listing, members[chosen])))
    return tasks


def convert_clip(source: ClipSource, root: Path, config: ConvertConfig, cropper: Callable[[np.ndarray], Crops]) -> Clip:
    """Decodes, crops and labels one clip.

    Raises:
      ClipError: it cannot be converted; the reason is one of `Reason`.
    """
    paths.check_video(source.video, root)
    cuts = config.overlong == "truncate"
    text = spoken(source) if cuts else transcript(source, config)  # what is wrong behind the cut is no matter
    seen = video.read(
        source.video,
        span=source.span,
        fps=config.fps,
        max_frames=config.max_frames,
        cut=cuts,
    )
    if cuts:
        source = _cut(source, config) if seen.cut else source
        text = transcript(source, config)
    windows = len(seen.luma) - (CONTEXT - 1)
    if windows < 1:
        raise ClipError(Reason.TOO_SHORT, f"{len(seen.luma)} frames, a window needs {CONTEXT}")
    needed = len(text) + sum(a == b for a, b in itertools.pairwise(text))  # CTC: a blank between twins
    if needed > windows:
        raise ClipError(Reason.TEXT_TOO_LONG, f"CTC needs {needed} windows for {text!r}, the clip has {windows}")
    crops = cropper(seen.luma)
    return Clip(
        id=source.id,
        speaker=source.speaker,
        text=text,
        source=_place(source, root),
        fps=config.fps,
        frames=crops.frames,
        tracked=crops.tracked,
        words=tuple(_words(source, config, len(crops.frames))),
    )


def _place(source: ClipSource, root: Path) -> str:
    return printable(source.video.relative_to(root).as_posix())


def transcript(source: ClipSource, config: ConvertConfig) -> str:
    """What is said in a clip, as records hold it.

    Raises:
      ClipError: BAD_TRANSCRIPT or BAD_CHARACTER.
    """
    text = spoken(source)
    if config.unknown == "reject" and (foreign := sorted(set(text) - set(config.alphabet))):
        rule = f"not in the alphabet {config.alphabet!r} (--alphabet, --unknown)"
        raise ClipError(Reason.BAD_CHARACTER, f"{foreign[0]!r} in {text!r} is {rule}")
    return _spelled(text, config)


def spoken(source: ClipSource) -> str:
    """The transcript, whatever its characters.

    Raises:
      ClipError: BAD_TRANSCRIPT.
    """
    text = vocab.normalise(source.text)
    if source.problem or not text:
        raise ClipError(Reason.BAD_TRANSCRIPT, source.problem or "the transcript is empty")
    return text


def _spelled(text: str, config: ConvertConfig) -> str:
    if config.unknown == "reject":
        return text
    return "".join(character if character in config.alphabet else vocab.UNKNOWN for character in text)


def _cut(source: ClipSource, config: ConvertConfig) -> ClipSource:
    """What is said within the first frames of a clip that is too long."""
    words = tuple(word for word in source.words if round(word.stop * config.fps) <= config.max_frames)
    if not words:
        why = "no word ends" if source.words else "without word times it is not known what is said"
        raise ClipError(Reason.TOO_LONG, f"{why} in its first {config.max_frames} frames, the limit")
    return dataclasses.replace(source, words=words, text=" ".join(word.text for word in words))


def _words(source: ClipSource, config: ConvertConfig, frames: int) -> Iterator[Word]:
    fps = config.fps
    for word in source.words:
        if word.start * fps >= frames or word.stop * fps > frames + PAST_END:
            said = f"{word.text!r} is said from {word.start:g} to {word.stop:g} s"
            raise ClipError(Reason.BAD_TRANSCRIPT, f"{said}, but the clip ends at {frames / fps:g} s")
        start = min(round(word.start * fps), frames - 1)
        stop = min(round(word.stop * fps), frames)
        yield Word(_spelled(vocab.normalise(word.text), config), start, max(stop, start + 1))


def shard_work(root: Path, output: Path, config: ConvertConfig) -> pool.Work:
    """Loads the landmark models once; returns the work on one shard."""
    tf.config.threading.set_intra_op_parallelism_threads(1)  # every worker has one core
    return functools.partial(convert_shard, root, output, config, MouthCropper(config.crop))


def convert_shard(
    root: Path,
    output: Path,
    config: ConvertConfig,
    cropper: MouthCropper,
    task: ShardTask,
    given_up: dict[str, pool.GivenUp],
) -> Iterator[pool.Started | pool.Finished]:
    """Writes one shard and, after it, the file that says so; memory holds one clip at a time.

    Raises:
      DataError: the shard cannot be written.
    """
    path = output / task.file(config.name)
    rows, rejects = [], []
    with _Writer(path) as writer:
        for source in task.sources:
            yield pool.Started(source.id)
            watch = _Watch(cropper)
            try:
                if source.id in given_up:
                    raise _given_up(given_up[source.id])
                clip = convert_clip(source, root, config, watch.crop)
            except ClipError as error:
                rejects.append(_rejected(source, root, error))
                yield pool.Finished(source.id, Outcome(rejects[-1], watch.spent()))
                continue
            record = to_example(clip, config.encoding)
            rows.append(Row.of(clip, writer.write(record), len(record)))
            yield pool.Finished(source.id, Outcome(None, watch.spent()))
        with done.writing(path):  # until here, a stop leaves the shard that this one replaces finished
            done.place(output, path.name).unlink(missing_ok=True)
    with done.writing(path):
        done.note(output, path.name, rows, rejects)


class _Writer:
    """A `ShardWriter` that says in a line what the system refuses it; what its block raises passes as it is."""

    def __init__(self, path: Path) -> None:
        self._path, self._shard = path, shards.ShardWriter(path)

    def __enter__(self) -> "_Writer":
        with done.writing(self._path):
            self._shard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        with done.writing(self._path):
            self._shard.__exit__(*error)

    def write(self, record: bytes) -> int:
        with done.writing(self._path):
            return self._shard.write(record)


class _Watch:
    """Where the time of a clip goes: reading until `crop` is called, writing once it has returned."""

    def __init__(self, cropper: MouthCropper) -> None:
        self._cropper = cropper
        self._marks = [time.monotonic()]

    def crop(self, luma: np.ndarray) -> Crops:
        self._marks.append(time.monotonic())
        try:
            return self._cropper(luma)
        finally:
            self._marks.append(time.monotonic())

    def spent(self) -> Spent:
        return Spent(*np.diff([*self._marks, time.monotonic()]).tolist())


def _rejected(source: ClipSource, root: Path, error: ClipError) -> Rejected:
    place = _place(source, root)
    detail = printable(error.detail.removeprefix(f"{root}/")).removeprefix(f"{place}: ")  # the corpus may lie anywhere
    detail = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}…"
    return Rejected(source.id, place, str(error.reason), detail)


def _given_up(end: pool.GivenUp) -> ClipError:
    if end.how == pool.HUNG:
        return ClipError(Reason.TIMED_OUT, "took longer than --clip_timeout_s")
    return ClipError(Reason.CRASHED, f"ended the process that converted it {pool.ATTEMPTS} times ({end.cause})")
