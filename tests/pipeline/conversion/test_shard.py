import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.conversion import processes, progress, shard
from pipeline.conversion.clip import convert_clip
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.shard import ShardTask
from pipeline.corpora import grid
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.records import tfrecord
from pipeline.records.codecs import Encoding
from pipeline.records.example import from_example
from pipeline.schema import ClipError, DataError, Reason, Word
from tests import datasets

CONFIG = ConvertConfig(name="tiny", crop=CropSettings(mode="resize"), clips_per_shard=3)
CROPPER = MouthCropper(CONFIG.crop)


def sources(count: int) -> list[ClipSource]:
    clips = [ClipSource(f"s1/c{n:02}", Path(f"c{n}"), None, "bin", (), "s1") for n in range(count)]
    return list(assign(clips, SplitRule(val="3", test="4")))


def test_every_clip_is_in_one_shard_of_its_split() -> None:
    tasks = shard.plan_shards(sources(27), CONFIG)
    assert Counter(source.id for task in tasks for source in task.sources) == {f"s1/c{n:02}": 1 for n in range(27)}
    assert all(source.split == task.split for task in tasks for source in task.sources)
    sizes = [(task.split, task.shard, task.shards, len(task.sources)) for task in tasks]
    assert sizes == [
        *[("train", n, 7, size) for n, size in enumerate([3, 3, 3, 3, 3, 3, 2])],
        ("val", 0, 1, 3),
        *[("test", n, 2, 2) for n in range(2)],
    ]


def test_the_plan_depends_on_seed_and_clips_alone() -> None:
    plan = shard.plan_shards(sources(27), CONFIG)
    assert shard.plan_shards(sources(27)[::-1], CONFIG) == plan
    assert shard.plan_shards(sources(27), dataclasses.replace(CONFIG, seed=1)) != plan
    order = [source.id for task in plan if task.split == "train" for source in task.sources]
    assert order != sorted(order)  # clips are shuffled over the shards


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 14 frames as PNG files of 112x112, which `resize` leaves as they are."""
    root = tmp_path_factory.mktemp("images")
    (root / "s1/bbaf2n").mkdir(parents=True)
    for number, frame in enumerate(datasets.pixels(14, seed=1)):
        Image.fromarray(frame).save(root / f"s1/bbaf2n/{number}.png")
    datasets.write_alignment(root / "alignments/s1/bbaf2n.align")
    return root


def convert(root: Path, config: ConvertConfig = CONFIG, **changes: Any) -> Any:
    (source,) = grid.clips(root)
    (clip,) = convert_clip(dataclasses.replace(source, **changes), root, config, CROPPER).clips
    return clip


def test_a_clip_is_its_pixels_words_and_names(images: Path) -> None:
    clip = convert(images)
    np.testing.assert_array_equal(clip.frames, datasets.pixels(14, seed=1))
    assert (clip.id, clip.speaker, clip.source, clip.text) == ("s1/bbaf2n", "s1", "s1/bbaf2n", "bin at now")
    assert clip.words == (Word("bin", 1, 4), Word("at", 4, 8), Word("now", 8, 10))
    assert clip.fps == 25.0
    assert clip.tracked.all()


def test_words_are_kept_inside_the_clip_and_hold_a_frame(images: Path) -> None:
    spoken = (SpokenWord("Bin", 0.0, 0.001), SpokenWord("at", 0.50, 0.60), SpokenWord("now", 0.55, 0.67))
    assert convert(images, words=spoken).words == (Word("bin", 0, 1), Word("at", 12, 14), Word("now", 13, 14))


@pytest.mark.parametrize("times", [(0.56, 0.6), (0.5, 0.7), (10.0, 11.0)])
def test_words_past_the_end_of_the_clip_are_refused(images: Path, times: tuple[float, float]) -> None:
    with pytest.raises(ClipError, match=r"bad_transcript: 'at' is said from .* but the clip ends at 0.56 s"):
        convert(images, words=(SpokenWord("at", *times),))


SLOW = (SpokenWord("bin", 0.0, 0.4),)
APART = (SpokenWord("a", 0.04, 0.16), SpokenWord("i", 0.16, 0.32), SpokenWord("now", 0.32, 0.48))
DASHED = (SpokenWord("—", 0.0, 0.04), SpokenWord("a,i", 0.04, 0.32), SpokenWord("'now'", 0.32, 0.48))
SPOKEN = {"text": "spoken"}
UNK = {"unknown": "unk", "alphabet": " abinto"}


def cut(frames: int) -> dict[str, Any]:
    return {"max_frames": frames, "overlong": "truncate"}


@pytest.mark.parametrize(
    ("changes", "settings", "reason", "match"),
    [
        ({"text": " "}, {}, Reason.BAD_TRANSCRIPT, "the transcript is empty"),
        ({"problem": "a.align line 3: no"}, {}, Reason.BAD_TRANSCRIPT, "a.align line 3: no"),
        ({"text": "bin été"}, {}, Reason.BAD_CHARACTER, "'é' in 'bin été' is not in the alphabet"),
        ({}, {"alphabet": "abint "}, Reason.BAD_CHARACTER, "'o', 'w' in 'bin at now' are not in"),
        ({"text": "a" * 6}, {}, Reason.TEXT_TOO_LONG, "CTC needs 11 windows for 'aaaaaa', the clip has 10"),
        ({"text": "abcdefghijk"}, {}, Reason.TEXT_TOO_LONG, "CTC needs 11 windows"),
        ({"span": (0.0, 0.16)}, {}, Reason.TOO_SHORT, "4 frames, a window needs 5"),
        ({}, {"max_frames": 13}, Reason.TOO_LONG, "the limit is 13"),
        (
            {},
            {"max_frames": 5, "overlong": "truncate"},
            Reason.TEXT_TOO_LONG,
            "needs 3 windows for 'bin', the clip has 1",
        ),
        (
            {"words": SLOW},
            {"max_frames": 6, "overlong": "truncate"},
            Reason.TOO_LONG,
            "no word ends in its first 6 frames",
        ),
        (
            {"words": ()},
            {"max_frames": 9, "overlong": "truncate"},
            Reason.TOO_LONG,
            "without word times",
        ),
        ({"text": "— …"}, {"text": "spoken"}, Reason.BAD_TRANSCRIPT, "of the transcript '— …' nothing is left"),
        ({"text": ""}, UNK, Reason.BAD_TRANSCRIPT, "the transcript is empty"),
        ({"video": Path("nowhere.mp4")}, {}, Reason.UNREADABLE, "nowhere.mp4"),
    ],
)
def test_reasons(images: Path, changes: dict, settings: dict, reason: Reason, match: str) -> None:
    if "video" in changes:
        changes = {"video": images / changes["video"]}
    with pytest.raises(ClipError, match=match) as caught:
        convert(images, dataclasses.replace(CONFIG, **settings), **changes)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "settings", "text", "words"),
    [
        ({}, UNK, "bin at no\ufffd", ["bin", "at", "no\ufffd"]),
        ({"text": "Été-9"}, {"unknown": "unk"}, "\ufffdt\ufffd\ufffd9", ["bin", "at", "now"]),
        ({"words": APART}, cut(8), "a i", ["a", "i"]),
        ({"words": APART, "span": (0.04, 0.56)}, cut(10), "a i", ["a", "i"]),  # times are those of the video
        ({"words": APART}, {**cut(9), "unknown": "unk", "alphabet": " a"}, "a \ufffd", ["a", "\ufffd"]),
        ({"words": (APART[0], SpokenWord("café", 0.4, 0.5)), "text": "a café"}, cut(8), "a", ["a"]),
        ({"text": "Bi-n, at — 9!"}, SPOKEN, "bi n at 9", ["bin", "at", "now"]),
        ({"words": DASHED, "text": "— a,i 'now'"}, SPOKEN, "a i now", ["a", "i", "now"]),
        ({"words": DASHED, "text": "— a,i 'now'"}, {**SPOKEN, **cut(8)}, "a i", ["a", "i"]),
        ({}, cut(14), "bin at now", ["bin", "at", "now"]),
        ({"words": ()}, cut(14), "bin at now", []),
    ],
)
def test_what_is_cut_or_not_known_is_what_the_text_says(
    images: Path, changes: dict, settings: dict, text: str, words: list[str]
) -> None:
    config = dataclasses.replace(CONFIG, **settings)
    clip = convert(images, config, **changes)
    assert (clip.text, [word.text for word in clip.words]) == (text, words)
    first, last = (round(25 * second) for second in changes.get("span", (0, 0.56)))
    np.testing.assert_array_equal(clip.frames, datasets.pixels(14, seed=1)[first:last][: config.max_frames])
    assert set(clip.text) <= set(config.characters)


def test_a_word_that_becomes_several_shares_its_time_among_them_by_letters(images: Path) -> None:
    spoken = (SpokenWord("at", 0.04, 0.08), SpokenWord("ab-cde", 0.08, 0.28), SpokenWord("?!", 0.28, 0.4))
    clip = convert(images, ConvertConfig("tiny", CONFIG.crop, text="spoken"), words=spoken, text="at ab-cde ?!")
    assert clip.text == "at ab cde"
    assert clip.words == (Word("at", 1, 2), Word("ab", 2, 4), Word("cde", 4, 7))  # 2 and 3 of 5 frames


def test_text_that_just_fits_the_windows(images: Path) -> None:
    assert convert(images, text="abcdefghij").text == "abcdefghij"
    assert convert(images, text="aabcdefgh").text == "aabcdefgh"  # 9 letters and a blank between the twins


def test_a_shard_holds_its_clips_in_order_and_says_what_it_rejected(corpus: Path, tmp_path: Path) -> None:
    clips = list(grid.clips(corpus))[:4]
    clips[1] = dataclasses.replace(clips[1], text="")
    (tmp_path / progress.PROGRESS).mkdir()
    task = ShardTask("train", 0, 1, tuple(clips))
    failed = {
        clips[2].id: processes.Failed(processes.HUNG),
        clips[3].id: processes.Failed(processes.DIED, "SIGSEGV"),
    }
    events = list(shard.convert_shard(corpus, None, CONFIG, CROPPER, tmp_path, task, failed))
    assert [event.item for event in events[::2]] == [event.item for event in events[1::2]] == [c.id for c in clips]
    outcomes = [event.outcome for event in events[1::2]]
    rejected = [outcome.rejected for outcome in outcomes]
    assert rejected[0] is None
    assert [(o.id, o.source, o.reason) for o in rejected[1:]] == [
        ("s1/bbaf3s", "s1/bbaf3s.mp4", "bad_transcript"),
        ("s1/bbaf4p", "s1/bbaf4p.mp4", "timed_out"),
        ("s2/lgbm2n", "s2/lgbm2n.mp4", "crashed"),
    ]
    path = tmp_path / "tiny-train.tfrecord-00000-of-00001"
    length = path.stat().st_size - tfrecord.HEADER_BYTES - tfrecord.FOOTER_BYTES
    record = path.read_bytes()[tfrecord.HEADER_BYTES :][:length]
    assert from_example(record, Encoding()).id == "s1/bbaf2n"
    assert rejected[3].detail == "ended the process that converted it 2 times (SIGSEGV)"
    assert min(dataclasses.astuple(outcomes[0].stage_seconds)) > 0
    assert [outcome.stage_seconds.cropping for outcome in outcomes[1:]] == [0, 0, 0]
    noted = progress.read_note(tmp_path, path.name)
    assert (noted.records, noted.rejected) == (1, tuple(rejected[1:]))
    assert [row.id for row in noted.rows] == ["s1/bbaf2n"]
    path.write_bytes(path.read_bytes()[:-1])
    assert progress.read_note(tmp_path, path.name) is None


def test_a_reject_names_its_video_below_the_corpus_and_leaves_words_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = Path("be")
    datasets.write_grid_clip(root, "s1/a", 20, [("be/été", 0, 9)])
    (root / "s1/bbaf2n").mkdir()
    (root / "s1/bbaf2n/1.png").write_text("no image")
    clips = list(grid.clips(root))
    (tmp_path / progress.PROGRESS).mkdir()
    list(shard.convert_shard(root, None, CONFIG, CROPPER, tmp_path, ShardTask("train", 0, 1, tuple(clips)), {}))
    told = [reject.detail for reject in progress.read_note(tmp_path, "tiny-train.tfrecord-00000-of-00001").rejected]
    assert told == [
        f"'/', 'é' in 'be/été' are not in the alphabet {CONFIG.alphabet!r} (--alphabet, --unknown)",
        "s1/bbaf2n/1.png: not an image that can be read (neither JPEG, PNG nor BMP)",
    ]


def test_an_error_of_reading_is_not_told_as_one_of_writing(corpus: Path, tmp_path: Path) -> None:
    def cropper(frames: Iterable[np.ndarray]) -> list[Crops]:
        raise OSError("a library misses a file")

    (tmp_path / progress.PROGRESS).mkdir()
    task = ShardTask("train", 0, 1, tuple(grid.clips(corpus)))
    with pytest.raises(OSError, match="a library misses a file"):
        list(shard.convert_shard(corpus, None, CONFIG, cropper, tmp_path, task, {}))
    (tmp_path / progress.PROGRESS).rmdir()
    with pytest.raises(DataError, match=r"tiny-train.*: No such file or directory; make room, or make it writable"):
        list(shard.convert_shard(corpus, None, CONFIG, CROPPER, tmp_path, dataclasses.replace(task, sources=()), {}))
    with pytest.raises(DataError, match=r"gone/tiny-train.*; make room, or make it writable"):
        list(shard.convert_shard(corpus, None, CONFIG, CROPPER, tmp_path / "gone", task, {}))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"name": ""}, "name: want letters, digits and _, got ''"),
        ({"name": "../x"}, "name: want letters"),
        ({"name": "a-b"}, "name: want letters"),
        ({"fps": 0}, "fps: want 1 to 240, got 0"),
        ({"fps": float("nan")}, "fps: want 1 to 240, got nan"),
        ({"clips_per_shard": 0}, "clips_per_shard: want at least 1, got 0"),
        ({"max_frames": 4}, "max_frames: want at least 5, got 4"),
        ({"alphabet": "aa"}, "alphabet: want characters, each once"),
        ({"alphabet": ""}, "alphabet: want characters, each once"),
        ({"alphabet": "ab", "unknown": "unk"}, r"alphabet: want a space .* \(unknown=unk\), got 'ab'"),
        ({"alphabet": " a\ufffd", "unknown": "unk"}, "alphabet: want a space among the characters, and \ufffd only"),
        ({"overlong": "skip"}, "overlong: want reject or truncate, got 'skip'"),
        ({"on_gap": "cut"}, "on_gap: want reject or split, got 'cut'"),
        ({"unknown": "drop"}, "unknown: want reject or unk, got 'drop'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ConvertConfig(**{"name": "tiny", **settings})
