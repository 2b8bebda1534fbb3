import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import lrs
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.schema import DataError
from tests.layouts import write_clip

LRS2 = "Text:  WHEN YOU'RE COOKING CHIPS AT HOME\nConf:  4\n"
LRS3 = """Text:  {LG} IT'S 4 O'CLOCK {NS}
Conf:  5
Ref:  0Fi83BHQsMA

FRAME   X   Y   W   H
000000 0.380 0.217 0.232 0.412
000001 0.380 0.217 0.232 0.412

WORD START END ASDSCORE
{LG} 0.00 0.30 1.2
IT'S 0.31 0.52 7.1
4 0.52 0.80 -0.4
O'CLOCK 0.80 1.25 6.6
{NS} 1.25 1.40 0.1
"""
TIMES = (SpokenWord("it's", 0.31, 0.52), SpokenWord("4", 0.52, 0.8), SpokenWord("o'clock", 0.8, 1.25))
EARLY = "'b' (0.2 to 0.3 s), so before 'a' (0.4 to 0.8 s); want words in the order of the text"
OVERLAP = "'a' (0.2 to 0.8 s) and 'b' (0.7 to 0.9 s) overlap by 0.1 s; want 0.04 at most"
UNIT = "words last 335 s on average, and the last one ends at 870 s; want seconds; these look like milliseconds"
FORM = "want `Text: …`, `Conf: …`, or word times below the header `WORD START END …`"


def test_a_clip_of_lrs3_with_word_times(tmp_path: Path) -> None:
    write_clip(tmp_path, "trainval/0Fi83BHQsMA/00002", LRS3)
    assert list(lrs.clips(tmp_path)) == [
        ClipSource(
            id="trainval/0Fi83BHQsMA/00002",
            video=tmp_path / "trainval/0Fi83BHQsMA/00002.mp4",
            span=None,
            text="it's 4 o'clock",
            words=TIMES,
            speaker="0Fi83BHQsMA",
            split="train",
        )
    ]


def test_the_sets_of_lrs3_are_its_split(tmp_path: Path) -> None:
    for name in ("test/b/1", "trainval/a/2", "trainval/a/1", "pretrain/a/1", "other/a/1"):
        write_clip(tmp_path, name, LRS2)
    found = {clip.id: clip.split for clip in lrs.clips(tmp_path)}
    assert found == {"pretrain/a/1": "train", "trainval/a/1": "train", "trainval/a/2": "train", "test/b/1": "test"}


def test_the_lists_of_lrs2_split_main(tmp_path: Path) -> None:
    for name in ("main/633/00011", "main/633/00012", "main/55/00001", "main/55/00002", "pretrain/633/00011"):
        write_clip(tmp_path, name, LRS2)
    (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf633/00011\r\n\r\n900/00001\r\n")
    (tmp_path / "val.txt").write_text("633/00012")
    (tmp_path / "test.txt").write_text("55/00001 NF\n")
    (tmp_path / "pretrain.txt").write_text("633/00011\n")
    assert {clip.id: clip.split for clip in lrs.clips(tmp_path)} == {
        "pretrain/633/00011": "train",
        "main/55/00001": "test",
        "main/55/00002": None,
        "main/633/00011": "train",
        "main/633/00012": "val",
    }
    (clip,) = (clip for clip in lrs.clips(tmp_path) if clip.split == "test")
    assert (clip.text, clip.words, clip.speaker) == ("when you're cooking chips at home", (), "55")


def test_a_clip_in_two_lists_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path, "main/633/00011", LRS2)
    (tmp_path / "train.txt").write_text("\n633/00011\n633/00011\n")
    (tmp_path / "test.txt").write_text("1/2\n633/00011 MV\n")
    with pytest.raises(DataError, match=r"test\.txt line 2: '633/00011' is also in .*train\.txt line 2"):
        list(lrs.clips(tmp_path))


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path, "main/633/00011", LRS2)
    (tmp_path / "val.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"val\.txt: not UTF-8 at byte 0"):
        list(lrs.clips(tmp_path))


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (None, "00001.txt: cannot be read (No such file or directory)"),
        ("Conf: 4\n", "00001.txt: want one line `Text: …`, got 0"),
        ("Text: A\nText: B\n", "00001.txt: want one line `Text: …`, got 2"),
        (
            "Text: A\n\nWORD START END\nA 0.5 0.4",
            "00001.txt line 4: want `word start end score` with start <= end, got 'A 0.5 0.4'",
        ),
        (
            "Text: A\n\nWORD START END\nA 0.5 nan 1",
            "00001.txt line 4: want `word start end score` with start <= end, got 'A 0.5 nan 1'",
        ),
        ("Text: A B\nWORD START END\nA 0 1", "00001.txt: the text has 'b' where the word times have ''"),
        ("Text: A B\nWORD START END\nA 0 1\nC 1 2", "00001.txt: the text has 'b' where the word times have 'c'"),
        ("Text: {LG}\n", ""),  # an empty text, which conversion rejects
        ("Text: A\nWORD START END\n", "00001.txt: the text has 'a' where the word times have ''"),
        ("Text: A B\nWORD START END\nA 0.4 0.8\nB 0.2 0.3", f"00001.txt: {EARLY}"),
        ("Text: A B\nWORD START END\nA 0.2 0.8\nB 0.7 0.9", f"00001.txt: {OVERLAP}"),
        ("Text: A B\nWORD START END\nA 200 380\nB 380 870", f"00001.txt: {UNIT}"),
        ("Text: A\nA 0 1", f"00001.txt line 2: {FORM}, got 'A 0 1'"),
        ("Text: A\nWORD BEGIN END\nA 0 1", f"00001.txt line 2: {FORM}, got 'WORD BEGIN END'"),
        ("Text: A\nWORD,START,END\nA,0,1", f"00001.txt line 2: {FORM}, got 'WORD,START,END'"),
    ],
)
def test_bad_labels_are_the_problem_of_their_clip(tmp_path: Path, label: str | None, problem: str) -> None:
    write_clip(tmp_path, "test/t/00001", label)
    (clip,) = lrs.clips(tmp_path)
    assert clip.problem == problem
    assert clip.words == ()


@pytest.mark.parametrize(
    "label",
    [
        LRS3.replace("ASDSCORE\n", "ASDSCORE\n\n"),
        "\n\ufeff".join(["", LRS3])[1:],
        LRS3.replace("\n", "\r\n\r\n"),
        LRS3.replace("WORD START END ASDSCORE", "Word\tStart  End"),
        LRS3.replace("{NS} 1.25", "sil 1.25").replace("{LG} 0.00", "<eps> 0.00"),
        LRS3.replace("IT'S 4", "IT\u2019S 4"),
        LRS3.replace("4 0.52 0.80", "4 0.52 0.52").replace("IT'S 0.31 0.52", "IT'S 0.31 0.54"),
    ],
    ids=["blank line after the header", "mark", "blank lines", "header", "silences", "apostrophe", "no length"],
)
def test_labels_of_the_same_words(tmp_path: Path, label: str) -> None:
    write_clip(tmp_path, "test/t/00001", label)
    (clip,) = lrs.clips(tmp_path)
    assert (clip.problem, clip.text) == ("", "it's 4 o'clock")
    assert [(word.text, word.start) for word in clip.words] == [(word.text, word.start) for word in TIMES]


def test_one_word_may_be_short(tmp_path: Path) -> None:
    write_clip(tmp_path, "test/t/00001", "Text: I\nWORD START END\nI 0.05 0.08\n")
    (clip,) = lrs.clips(tmp_path)
    assert (clip.problem, clip.words) == ("", (SpokenWord("i", 0.05, 0.08),))


def test_a_silence_mark_may_be_a_word(tmp_path: Path) -> None:
    write_clip(tmp_path, "test/t/00001", "Text: THE SP\nWORD START END\nTHE 0 0.2\nSP 0.2 0.5\n")
    (clip,) = lrs.clips(tmp_path)
    assert [word.text for word in clip.words] == ["the", "sp"]


def test_labels_with_a_suffix_in_another_case(tmp_path: Path) -> None:
    write_clip(tmp_path, "test/t/00001", LRS2)
    (tmp_path / "test/t/00001.txt").rename(tmp_path / "test/t/00001.TXT")
    (tmp_path / "test/t/._00001.mp4").touch()
    (clip,) = lrs.clips(tmp_path)
    assert (clip.problem, clip.text) == ("", "when you're cooking chips at home")


@pytest.mark.parametrize(
    "talk", ["new\nline", "a,b", '"q"', "*?[a]", "-rf", " a  b ", b"caf\xe9".decode(errors="surrogateescape")]
)
def test_odd_names(tmp_path: Path, talk: str) -> None:
    write_clip(tmp_path, f"test/{talk}/{talk}", LRS2)
    (clip,) = lrs.clips(tmp_path)
    assert (clip.video, clip.problem) == (tmp_path / f"test/{talk}/{talk}.mp4", "")
    assert (clip.id + clip.speaker).encode().decode() == clip.id + clip.speaker  # UTF-8 can hold them


def test_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none: no such directory.*--source.* main"):
        list(lrs.clips(tmp_path / "none"))
    with pytest.raises(DataError, match=r"no sets of LRS2 or LRS3.* pretrain, trainval, main, test"):
        list(lrs.clips(tmp_path))


PIECES = [
    "Text:",
    " A",
    " {LG}",
    "{",
    "\n",
    "WORD START END",
    "\nA 0 1",
    "\nA 1 0",
    "\nA " + "9" * 400 + " 1e9",
    "\x00",
    "²",
    "\u2028",
]


@given(label=st.binary(max_size=80) | st.lists(st.sampled_from(PIECES)).map(lambda pieces: "".join(pieces).encode()))
def test_any_label_is_read_or_refused(scratch: Path, label: bytes) -> None:
    (scratch / "a.txt").write_bytes(label)
    with contextlib.suppress(ValueError):
        text, words = lrs.read_transcript(scratch / "a.txt", scratch)
        assert words == () or text == " ".join(word.text for word in words)
