"""What is said of clips before any video is converted."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.conversion import precheck
from pipeline.conversion.config import ConvertConfig
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.schema import ClipError, DataError
from tests import datasets, videos

CONFIG = ConvertConfig("tiny")
SPOKEN = ConvertConfig("tiny", text="spoken")
UNKNOWN = "�"


def clip(name: str, text: str = "bin", split: str = "train", **changes: Any) -> ClipSource:
    source = ClipSource(f"{name}.mp4", Path(f"/corpus/{name}.mp4"), None, text, (), "", split)
    return dataclasses.replace(source, **changes)


def lines(*clips: ClipSource, config: ConvertConfig = CONFIG, ends: dict[str, float] | None = None) -> list[str]:
    catalog = Catalog.of(clips)
    hashes = {source.video.stem: int(key) for source, key in zip(catalog, catalog.videos, strict=True)}
    known = {hashes[name]: end for name, end in (ends or {}).items()}
    return list(precheck.check(catalog, config, known).lines())


@pytest.mark.parametrize(
    ("texts", "settings", "said"),
    [
        (
            [("ä, ö", "train"), ("ä ä", "train"), ("bin", "train")],
            {},
            "'ä' in 2 clips, ',' in 1, 'ö' in 1; these 2 clips will be rejected; --alphabet=from_data takes them, "
            "--text=spoken drops punctuation and symbols, --unknown=unk replaces them",
        ),
        (
            [("bin, at", "test")],
            {},
            "',' in 1 clip; this clip will be rejected; --text=spoken drops them, --unknown=unk replaces them",
        ),
        (
            [("ä, ö", "train"), ("ü", "val")],
            {"text": "spoken"},
            "'ä' in 1 clip, 'ö' in 1, 'ü' in 1; these 2 clips will be rejected; --alphabet=from_data takes those of "
            "training clips, --unknown=unk replaces them",
        ),
        (
            [(f"bin {UNKNOWN}", "train")],
            {},
            f"'{UNKNOWN}' in 1 clip; this clip will be rejected; --text=spoken drops them, --unknown=unk replaces "
            "them",
        ),
        ([("é", "train")], {"unknown": "unk"}, f"'é' in 1 clip; this clip has {UNKNOWN} in their place "
         "(--unknown=unk)"),
        ([("ä", "train")], {"alphabet": " ä"}, None),
    ],
)  # fmt: skip
def test_every_foreign_character_is_named_with_what_becomes_of_it(
    texts: list[tuple[str, str]], settings: dict, said: str | None
) -> None:
    clips = [clip(f"{number}", text, split) for number, (text, split) in enumerate(texts)]
    found = lines(*clips, config=dataclasses.replace(CONFIG, **settings))
    assert found == ([f"characters outside the alphabet: {said}"] if said else [])


def test_of_many_foreign_characters_the_most_frequent_are_named() -> None:
    many = "".join(chr(0x4E00 + number) for number in range(102))
    (said,) = lines(clip("a", many), clip("b", many[50]))
    assert said.startswith(f"characters outside the alphabet: {many[50]!r} in 2 clips, {many[0]!r} in 1, ")
    assert f", {many[99]!r} in 1, and 2 more characters; these 2 clips will be rejected; " in said
    assert many[100] not in said


def test_transcripts_that_cannot_be_used_are_counted_and_the_first_named() -> None:
    clips = [clip(f"{number}", problem=f"{number}.txt line 1: torn") for number in range(4)]
    assert lines(*clips, clip("empty", " "), clip("sound")) == [
        "transcripts that cannot be used (5 of 6 clips): 0.mp4: 0.txt line 1: torn; 1.mp4: 1.txt line 1: torn; "
        "2.mp4: 2.txt line 1: torn; and 2 more; these clips will be rejected"
    ]
    (said,) = lines(clip("a", problem="x" * 300))
    assert f" {'x' * 200}…; these clips" in said


def word(start: float, stop: float) -> tuple[SpokenWord, ...]:
    return (SpokenWord("at", 0.1, 0.2), SpokenWord("now", start, stop))


@pytest.mark.parametrize(
    ("changes", "end", "said"),
    [
        ({"span": (500.0, 2250.0)}, 3.0, "the span 500 to 2250 s begins after the end of the video, 3 s"),
        ({"span": (0.5, 3.2)}, 3.0, "the span 0.5 to 3.2 s ends after the end of the video, 3 s"),
        ({"span": (0.5, 3.1)}, 3.0, None),  # 2.5 frames are 0.1 s
        ({"span": (500.0, 2250.0)}, None, None),
        ({"words": word(2.9, 3.3)}, 3.0, "'now' is said from 2.9 to 3.3 s, the video ends at 3 s"),
        ({"words": word(2.9, 3.1)}, 3.0, None),
        ({"words": word(2.9, 3.3)}, None, None),
        ({"words": word(0.5, 1.0), "span": (0.0, 0.8)}, None, "'now' is said from 0.5 to 1 s, the span is 0 to 0.8 s"),
        ({"words": word(1.5, 2.0), "span": (1.0, 2.0)}, 3.0, "'at' is said from 0.1 to 0.2 s, the span is 1 to 2 s"),
        ({"words": word(0.5, 0.9), "span": (1.0, 2.0), "times_from_first_frame": True}, 3.0, None),
        (
            {"words": word(0.5, 1.3), "span": (1.0, 2.0), "times_from_first_frame": True},
            3.0,
            "'now' is said from 1.5 to 2.3 s, the span is 1 to 2 s",
        ),
        ({"labels_end": 4.5}, 3.0, "the labels end at 4.5 s, the video at 3 s"),
        ({"labels_end": 1.5}, 3.0, "the labels end at 1.5 s, the video at 3 s"),
        ({"labels_end": 2.5}, 3.0, None),
    ],
)
def test_times_that_cannot_be(changes: dict, end: float | None, said: str | None) -> None:
    found = lines(clip("a", **changes), clip("b"), ends={"a": end} if end else {})
    known = f"times are seconds; {1 if end else 0} videos say where they end; these clips will be rejected"
    assert found == ([f"times that cannot be (1 of 2 clips): a.mp4: {said}; {known}"] if said else [])


def test_words_behind_the_frames_that_are_kept_may_end_anywhere() -> None:
    late = clip("a", words=word(2.9, 3.3))
    cut = dataclasses.replace(CONFIG, max_frames=50, overlong="truncate")
    assert lines(late, config=cut, ends={"a": 3.0}) == []
    assert lines(late, config=dataclasses.replace(cut, max_frames=75), ends={"a": 3.0}) != []


def test_what_the_rule_of_text_has_changed() -> None:
    clips = [
        clip("a", "well-known, 'hello' don't!"),  # two apostrophes of three go
        clip("b", "no, no, no."),
        clip("c", "it's 9"),
        clip("d", problem="torn"),
    ]
    found = precheck.check(Catalog.of(clips), SPOKEN, {})
    assert list(found.rows()) == [
        ("text changed", "2 of 4 transcripts (--text=spoken); dropped , 3  ' 2  ! 1  - 1  . 1")
    ]
    assert list(precheck.check(Catalog.of(clips), CONFIG, {}).rows()) == []
    (row,) = precheck.check(Catalog.of([clip("a", 'a!"#$%&()*+,')]), SPOKEN, {}).rows()
    assert row[1].endswith('dropped ! 1  " 1  # 1  $ 1  % 1  & 1  ( 1  ) 1  * 1  + 1  and 1 others')
    (row,) = precheck.check(Catalog.of([clip("a")]), SPOKEN, {}).rows()
    assert row[1] == "0 of 1 transcripts (--text=spoken)"


@pytest.mark.parametrize(
    ("config", "alphabet"),
    [
        (CONFIG, " !',-abdefgrßöü"),
        (SPOKEN, " abdefgrßöü"),
        (dataclasses.replace(CONFIG, unknown="unk"), " !',-abdefgrßöü"),
    ],
)
def test_the_alphabet_of_the_training_clips(config: ConvertConfig, alphabet: str) -> None:
    clips = [
        clip("a", "Größe,"),
        clip("b", f"'für' a-{UNKNOWN}\ud800b!d"),
        clip("c", "q", problem="torn"),
        clip("d", " "),
        clip("e", "xyz", split="val"),
        clip("f", "xyz", split="test"),
    ]
    found = precheck.alphabet_of(Catalog.of(clips), config)
    assert found == alphabet
    assert dataclasses.replace(config, alphabet=found).alphabet == alphabet


def test_an_alphabet_has_a_blank_and_needs_a_training_clip() -> None:
    assert precheck.alphabet_of(Catalog.of([clip("a", "b")]), CONFIG) == " b"
    for clips in ([clip("a", split="test")], [clip("a", problem="torn")], [clip("a", "…")]):
        with pytest.raises(DataError, match="--alphabet=from_data: no training clip has a transcript; give the char"):
            precheck.alphabet_of(Catalog.of(clips), SPOKEN)


def test_so_many_headers_are_read_spread_over_the_videos(tmp_path: Path) -> None:
    for number in range(45):
        (tmp_path / f"{number:02}.mp4").write_bytes(b"no video")
    for number in (0, 23, 44):
        videos.write(tmp_path / f"{number:02}.mp4", videos.numbered(number + 5))
    sources = [clip(path.stem, video=path) for path in sorted(tmp_path.iterdir())]
    sources += [clip("again", video=tmp_path / "23.mp4", id="again"), clip("gone", video=tmp_path / "45.mp4")]
    catalog = Catalog.of(sources)
    found = precheck.read_ends(catalog, tmp_path, None, 25.0)
    name = {int(key): source.video.stem for source, key in zip(catalog, catalog.videos, strict=True)}
    # the 1st, 3rd, 5th, 8th, ... of 46 videos: 45 / 19 between two
    ends = {name[key]: end for key, end in found.items() if not isinstance(end, ClipError)}
    assert ends == pytest.approx({"00": 0.2, "23": 1.12})
    assert len(found) == 2 + 17  # and no entry for the one that is gone


def test_a_video_that_cannot_be_opened_is_named_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    videos.write(tmp_path / "b.mp4", videos.numbered(5))
    halves = [clip("a", video=tmp_path / "a.mp4", id=f"a@{n}", span=(n, n + 1.0)) for n in range(2)]
    catalog = Catalog.of([*halves, clip("b", video=tmp_path / "b.mp4"), clip("c", video=tmp_path / "gone.mp4")])
    found = precheck.check(catalog, CONFIG, precheck.read_ends(catalog, tmp_path, None, 25.0))
    (line,) = found.lines()
    assert line.startswith(f"videos that cannot be opened (2 of 4 clips): a@0: {tmp_path / 'a.mp4'}: not a video that ")
    assert line.endswith("; these clips will be rejected")
    assert (found.rejects, found.ends) == (2, 1)


def test_a_directory_of_images_ends_at_the_rate_of_the_records(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(10):
        (tmp_path / f"a/{number}.png").touch()
    catalog = Catalog.of([clip("a", video=tmp_path / "a")])
    assert list(precheck.read_ends(catalog, tmp_path, None, 10.0).values()) == [1.0]


def test_headers_of_a_corpus_without_clips_or_outside_of_it_are_not_read(tmp_path: Path) -> None:
    assert precheck.read_ends(Catalog.of([]), tmp_path, None, 25.0) == {}
    (tmp_path / "corpus").mkdir()
    datasets.write_video(tmp_path / "a.mp4", datasets.pixels(5, seed=1, side=64))
    (tmp_path / "corpus/a.mp4").symlink_to("../a.mp4")
    catalog = Catalog.of([clip("a", video=tmp_path / "corpus/a.mp4")])
    assert precheck.read_ends(catalog, tmp_path / "corpus", None, 25.0) == {}
