import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import augment, mixture
from pipeline.loading import dataset as data
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, Word
from pipeline.vocab import Vocabulary
from tests import datasets, laws

# Starts and stops of words: apart, touching, overlapping, and of one clip the more of them.
TIMES = [
    [(1, 4), (4, 8), (9, 12)],
    [(2, 5), (6, 9), (9, 14)],
    [(0, 4), (3, 7), (8, 11)],
    [(1, 3), (4, 6), (7, 9), (9, 12), (12, 15)],
]
CLIPS = {"s1": range(4), "s2": range(4, 6), "": range(6, 8)}  # speaker -> numbers of clips
VOCABULARY = Vocabulary.of_words([f"w{clip}x{word}" for clip in range(9) for word in range(5)])
SENTENCE = DataConfig(VOCABULARY)
COUNTED = ("ids", "labels", "label_lengths", "lengths")
ALWAYS = AugmentConfig(splice=1.0)
IN_ORDER = PlanConfig(2, seed=1, shuffle=False)


def spoken(number: int, speaker: str) -> Clip:
    """A clip whose words no other has, and whose every frame is of one level that no other has."""
    words = tuple(Word(f"w{number}x{n}", *times) for n, times in enumerate(TIMES[number % len(TIMES)]))
    levels = np.arange(20, dtype=np.uint8) + 25 * number
    frames = np.broadcast_to(levels[:, None, None], [20, 112, 112]).copy()
    found = datasets.clip(f"c{number}", 20, [])
    text = " ".join(word.text for word in words)
    return dataclasses.replace(found, speaker=speaker, frames=frames, words=words, text=text)


EVERY = {number: spoken(number, speaker) for speaker, numbers in CLIPS.items() for number in numbers}


def write(root: Path, encoding: str = "raw", clips: dict[int, Clip] = EVERY) -> DatasetDir:
    some = list(clips.values())
    other = [spoken(8, "s1")]  # of another split, so nobody's donor
    return datasets.write_dataset(root, {"train": [some[:3], some[3:]], "val": [other]}, Encoding(encoding))


# By hand: where to cut before each word of a clip, and behind its last.
BORDERS = [(1, 4, 9, 12), (2, 6, 9, 14), (0, 4, 8, 11), (1, 4, 7, 9, 12, 15)]


def border(clip: Clip, number: int) -> int:
    return BORDERS[int(clip.id[1:]) % len(TIMES)][number]


def levels(own: Clip, said: list[str]) -> tuple[list[int], set[str]]:
    """The levels of the frames of `own` with the words `said`, and whose words came in."""
    foreign = [place for place, word in enumerate(said) if word not in {known.text for known in own.words}]
    frames = own.frames[:, 0, 0].tolist()
    if not foreign:
        return frames, set()
    first, stop = foreign[0], foreign[-1] + 1
    (donor,) = {number for number, clip in EVERY.items() for word in clip.words if word.text in said[first:stop]}
    giver = EVERY[donor]
    begin = [word.text for word in giver.words].index(said[first])
    assert [word.text for word in giver.words[begin : begin + stop - first]] == said[first:stop]
    assert begin == min(first, len(giver.words) - (stop - first))  # the same numbers
    assert said[:first] + said[stop:] == [w.text for w in (*own.words[:first], *own.words[stop:])]
    come = giver.frames[border(giver, begin) : border(giver, begin + stop - first), 0, 0].tolist()
    return [*frames[: border(own, first)], *come, *frames[border(own, stop) :]], {giver.speaker}


def test_frames_are_taken_from_the_clip_and_from_its_donor_behind_it() -> None:
    shown = np.arange(7)[np.newaxis]  # 2 of the clip, 3 of the donor, 2 of the clip behind the cut
    places = augment.spliced(shown, *(np.array([n]) for n in (2, 6, 3)), own=10)
    assert places.numpy().tolist() == [[0, 1, 10, 11, 12, 6, 7]]


def test_a_word_that_meets_itself_finds_room(tmp_path: Path) -> None:
    """CTC needs a window between equal words: three windows for two of them."""
    words = (Word("w0x0", 1, 3), Word("w0x1", 3, 5))
    one = dataclasses.replace(
        EVERY[0], words=words, text="w0x0 w0x1", frames=EVERY[0].frames[:6], tracked=EVERY[0].tracked[:6]
    )
    other = dataclasses.replace(one, id="c1", words=(words[1], words[0]), text="w0x1 w0x0")
    long = {
        n: dataclasses.replace(c, frames=EVERY[0].frames[:9], tracked=EVERY[0].tracked[:9])
        for n, c in enumerate((one, other))
    }
    for root, clips, twice in ((tmp_path / "short", {0: one, 1: other}, False), (tmp_path / "long", long, True)):
        read = laws.read(data.load(write(root, clips=clips), "train", SENTENCE, IN_ORDER, ALWAYS, epochs=20))
        assert any(row[0] == row[1] for batch in read for row in batch["labels"].tolist()) == twice


def test_equal_words_that_come_in_side_by_side_find_room(tmp_path: Path) -> None:
    """Five of them need nine windows; the clip that they would fill has eight."""
    times = [(1 + 2 * n, 3 + 2 * n) for n in range(5)]
    clips = {}
    for number, (frames, names) in enumerate([(12, ["w0x0", "w0x1", "w0x2", "w0x3", "w0x4"]), (14, ["w1x0"] * 5)]):
        said = tuple(Word(name, *span) for name, span in zip(names, times, strict=True))
        cut = {"frames": EVERY[0].frames[:frames], "tracked": EVERY[0].tracked[:frames]}
        clips[number] = dataclasses.replace(EVERY[0], id=f"c{number}", words=said, text=" ".join(names), **cut)
    spliced = 0
    for batch in laws.read(data.load(write(tmp_path, clips=clips), "train", SENTENCE, IN_ORDER, ALWAYS, epochs=60)):
        for name, labels, count, windows in zip(*(batch[key] for key in COUNTED), strict=True):
            twice = sum(map(np.equal, labels[: count - 1], labels[1:count]))
            assert count + twice <= windows
            spliced += name == b"c0" and VOCABULARY.encode("w1x0")[0] in labels[:count]
    assert spliced > 5


@pytest.mark.parametrize(("encoding", "reader"), [("raw", "graph"), ("raw", "direct"), ("png", "graph")])
def test_a_run_of_words_gives_way_to_the_same_words_of_another_clip(tmp_path: Path, encoding: str, reader: str) -> None:
    dataset, seen, unspliced = write(tmp_path / "data", encoding), set(), 0
    for batch in laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER, ALWAYS, epochs=40, reader=reader)):
        for row, name in enumerate(batch["ids"]):
            own = EVERY[int(name[1:])]
            said = VOCABULARY.decode(batch["labels"][row, : batch["label_lengths"][row]].tolist()).split()
            want, givers = levels(own, said)
            unspliced += not givers
            assert givers <= {own.speaker} - {""}
            got = batch["frames"][row, :, 0, 0].tolist()
            assert got == [*want, *[0] * (len(got) - len(want))]
            assert batch["lengths"][row] == len(want) - 4 <= 25 - 4
            assert batch["in_word"][row].sum() == len(want) - 4
            seen.add((own.id, *said))
    assert len(seen) > 60
    assert unspliced < 200  # of 320: the two without a talker, where a clip draws itself, and what is too long


def test_as_often_as_asked(tmp_path: Path) -> None:
    dataset, order = write(tmp_path / "data"), PlanConfig(4, seed=2, shuffle=False)
    spliced = {}
    for probability in (0.25, 1.0):
        read = data.load(dataset, "train", SENTENCE, order, AugmentConfig(splice=probability), epochs=60)
        own = [
            {word.text for word in EVERY[int(name[1:])].words}.issuperset(
                VOCABULARY.decode(labels[:count].tolist()).split()
            )
            for batch in laws.read(read)
            for name, labels, count in zip(batch["ids"], batch["labels"], batch["label_lengths"], strict=True)
        ]
        spliced[probability] = own.count(False)
    assert 0.18 < spliced[0.25] / spliced[1.0] < 0.32


def _widened(batch: laws.Batch) -> laws.Batch:
    """Labels of one width: each worker's are as wide as the longest of its own."""
    labels = batch["labels"]
    return {**batch, "labels": np.pad(labels, [(0, 0), (0, 5 - labels.shape[1])])}


STREAMS = {
    "sentences": ({}, {}, 2),
    "varied, on a budget": ({}, {"max_windows_per_batch": 70, "remainder": "pad"}, 2),
    "cut": ({"max_frames": 13, "overlong": "truncate"}, {"remainder": "pad"}, 4),
}


@pytest.mark.parametrize("encoding", ["raw", "png"])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_spliced_stream_keeps_the_laws_of_streams(
    tmp_path: Path, encoding: str, stream: tuple[dict, dict, int]
) -> None:
    config, order, workers = stream
    varied = AugmentConfig(splice=0.7, speed=0.3, shift=4, mask_frames=2)
    order = PlanConfig(**{"batch_size": 4, "seed": 3, **order})
    settings = write(tmp_path / "data", encoding), "train", dataclasses.replace(SENTENCE, **config), order, varied
    whole = laws.read(data.load(*settings, epochs=2))
    laws.resumes(
        lambda *given, **rest: data.load(*given, epochs=2, **rest), settings, whole, tmp_path / "position.json"
    )
    laws.same(laws.read(data.portable(*settings, epochs=2)), whole)
    parts = [dataclasses.replace(order, worker=worker, workers=workers) for worker in range(workers)]
    read = [laws.read(data.load(*settings[:3], part, varied, epochs=2)) for part in parts]
    laws.shared([_widened(batch) for batch in whole], [[_widened(batch) for batch in part] for part in read])
    for batch in whole:
        assert batch["lengths"].max() <= 25 / 0.7
        if order.max_windows_per_batch:
            assert batch["in_word"].size <= order.max_windows_per_batch


def test_no_word_beyond_the_cut_of_a_sentence_comes_in(tmp_path: Path) -> None:
    config = dataclasses.replace(SENTENCE, max_frames=9, overlong="truncate")
    kept = {w.text for clip in EVERY.values() for w in clip.words if w.stop <= 9}
    said = set()
    for batch in laws.read(data.load(write(tmp_path / "data"), "train", config, IN_ORDER, ALWAYS, epochs=20)):
        assert batch["frames"].shape[1] <= 9
        for labels, count in zip(batch["labels"], batch["label_lengths"], strict=True):
            said |= set(VOCABULARY.decode(labels[:count].tolist()).split())
    assert said == kept


def test_a_label_that_would_not_fit_is_not_made(tmp_path: Path) -> None:
    """Each letter needs a window; a splice that has fewer is not drawn."""
    config, unfit, spliced = DataConfig(Vocabulary.of_characters("wx0123456789 ")), set(), 0
    short = {n: dataclasses.replace(c, frames=c.frames[:19], tracked=c.tracked[:19]) for n, c in EVERY.items()}
    dataset = write(tmp_path / "data", clips=short)
    for batch in laws.read(data.load(dataset, "train", config, IN_ORDER, ALWAYS, epochs=20)):
        for name, labels, count, windows in zip(*(batch[key] for key in COUNTED), strict=True):
            own, said = EVERY[int(name[1:])], config.vocabulary.decode(labels[:count].tolist())
            spliced += said != own.text
            if count > windows:
                assert said == own.text
                unfit.add(own.id)
    assert spliced
    assert unfit == {"c3", "c7"}  # five words in 15 windows, as they come


@pytest.mark.parametrize("timed", [0, 2], ids=["no word", "two of its words"])
def test_clips_without_all_word_times_stay_and_give_nothing(tmp_path: Path, timed: int) -> None:
    partly = {n: dataclasses.replace(clip, words=clip.words[:timed]) for n, clip in EVERY.items()}
    silent = {n: partly[n] if n % 2 else clip for n, clip in EVERY.items()}
    spliced = 0
    for batch in laws.read(
        data.load(write(tmp_path / "some", clips=silent), "train", SENTENCE, IN_ORDER, ALWAYS, epochs=9)
    ):
        for name, labels, count in zip(batch["ids"], batch["labels"], batch["label_lengths"], strict=True):
            said = VOCABULARY.decode(labels[:count].tolist()).split()
            sources = {int(word[1 : word.index("x")]) for word in said}
            assert sources == {int(name[1:])} or not any(n % 2 for n in sources)
            spliced += len(sources) > 1
    assert spliced
    none = write(tmp_path / "none", clips=partly)
    laws.same(
        laws.read(data.load(none, "train", SENTENCE, IN_ORDER, ALWAYS)),
        laws.read(data.load(none, "train", SENTENCE, IN_ORDER)),
    )


def test_words_come_from_the_same_dataset_of_a_mixture(tmp_path: Path) -> None:
    one = write(tmp_path / "one")
    renamed = {n: dataclasses.replace(clip, words=(), text="w8x0") for n, clip in EVERY.items()}
    other = write(
        tmp_path / "other",
        clips={**renamed, 0: dataclasses.replace(EVERY[0], words=(Word("w8x0", 2, 6),), text="w8x0")},
    )
    mixed = mixture.join([one, other])
    for batch in laws.read(data.load(mixed, "train", SENTENCE, IN_ORDER, ALWAYS, epochs=20)):
        for name, labels, count in zip(batch["ids"], batch["labels"], batch["label_lengths"], strict=True):
            said = VOCABULARY.decode(labels[:count].tolist()).split()
            assert ("w8x0" in said) == name.startswith(b"other:")


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_a_damaged_donor_is_named_or_leaves_its_row_out(tmp_path: Path, encoding: str) -> None:
    dataset, bad = write(tmp_path / "data", encoding), 1
    path, offset = dataset.shards[dataset.index.shard[bad]], int(dataset.index.offset[bad])
    broken = bytearray(path.read_bytes())
    broken[offset + 200] ^= 255
    path.write_bytes(broken)
    with pytest.raises(tf.errors.UnknownError, match=f"DataError: {path} offset {offset}"):
        laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER, ALWAYS, epochs=20))
    sound = laws.read(data.load(write(tmp_path / "sound", encoding), "train", SENTENCE, IN_ORDER, ALWAYS, epochs=20))
    skipped: set[str] = set()
    how = {"epochs": 20, "on_bad_record": "skip", "skipped": skipped}
    left_out = 0
    for got, want in zip(laws.read(data.load(dataset, "train", SENTENCE, IN_ORDER, ALWAYS, **how)), sound, strict=True):
        for row, name in enumerate(want["ids"]):
            said = VOCABULARY.decode(want["labels"][row, : want["label_lengths"][row]].tolist()).split()
            touched = name == b"c1" or any(word.startswith("w1x") for word in said)
            assert got["weights"][row] == (0 if touched else 1)
            frames = np.zeros_like(want["frames"][row]) if touched else want["frames"][row]
            np.testing.assert_array_equal(got["frames"][row], frames)
            left_out += touched and name != b"c1"
    assert left_out
    assert len(skipped) == 1


def test_another_epoch_or_seed_splices_otherwise(tmp_path: Path) -> None:
    dataset = write(tmp_path / "data")

    def said(seed: int, epoch: int) -> list[bytes]:
        order = PlanConfig(2, seed=seed, shuffle=False)
        return [
            batch["labels"].tobytes()
            for batch in laws.read(data.load(dataset, "train", SENTENCE, order, ALWAYS, epoch=epoch))
        ]

    streams = [said(seed, epoch) for seed, epoch in itertools.product((0, 1), (0, 1))]
    assert len({tuple(stream) for stream in streams}) == 4
    assert said(0, 0) == streams[0]


def test_single_words_are_refused(tiny: Callable[[str], DatasetDir]) -> None:
    config = DataConfig(Vocabulary.of_words(["at", "bin", "now"]), unit="word")
    with pytest.raises(ValueError, match="splice: goes with unit sentence"):
        data.load(tiny("raw"), "train", config, IN_ORDER, ALWAYS)
