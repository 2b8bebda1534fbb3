from pathlib import Path

import pytest

from pipeline.corpora import labels
from pipeline.corpora.labels import Labels, Phrase
from tests.pipeline.corpora.labels.test_textgrid import FOUND, LONG

CTM = "talk 1 0 1 yes\nother 1 0 1 no\n"
SRT = "1\n00:00:01,000 --> 00:00:02,000\nYes\n"
NAMES = "SPEAKER_00", "SPEAKER_01", "SPEAKER_ann", "ann SPEAKER_00"
PHRASE = Labels((Phrase("yes", 1, 2),))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("talk.TextGrid", LONG, FOUND),
        ("talk.json", '{"segments": [{"start": 1, "end": 2, "text": "Yes"}]}', PHRASE),
        ("labels.CTM", CTM, Labels(text="yes", words=(labels.phrases.SpokenWord("yes", 0, 1),))),
        ("talk.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nYes\n", PHRASE),
        ("talk.en.SRT", SRT, PHRASE),
        ("talk.txt", " Yes,\n\nI\u2019m here. \n", Labels(text="yes, i'm here.")),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_each_kind_is_read_by_its_suffix(name: str, text: str, found: Labels, encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert labels.read(tmp_path / name, tmp_path, "talk") == found


def test_a_talker_with_a_number_alone_is_of_one_file(tmp_path: Path) -> None:
    said = "\n".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n<v {name}>Yes</v>\n" for n, name in enumerate(NAMES))
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "one.vtt").write_text(f"WEBVTT\n\n{said}".replace(",", "."))
    tier = LONG.replace('"words"', '"SPEAKER_07 - words"')
    (tmp_path / "talks" / "one.TextGrid").write_text(tier)
    spoken = labels.read(tmp_path / "talks" / "one.vtt", tmp_path, "one").phrases
    assert [phrase.speaker for phrase in spoken] == [
        *("talks/one.vtt SPEAKER_00", "talks/one.vtt SPEAKER_01"),
        *("SPEAKER_ann", "ann SPEAKER_00"),
    ]
    found = labels.read(tmp_path / "talks" / "one.TextGrid", tmp_path, "one")
    assert {found.speaker, *(phrase.speaker for phrase in found.phrases)} == {"talks/one.TextGrid SPEAKER_07"}


def test_the_order_in_which_kinds_win() -> None:
    assert list(labels.KINDS) == [".textgrid", ".json", ".ctm", ".vtt", ".srt", ".txt"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.ass", b"", "no kind of labels; want a file that ends in .textgrid, .json, .ctm, .vtt, .srt, .txt"),
        ("a", b"", "no kind of labels"),
        ("a.srt", b"\xff", "not UTF-8 at byte 0; save it as UTF-8"),
        ("a.TextGrid", b"\xff\xfea", "not UTF-16 at byte 2; save it as UTF-8"),
        ("a.json", None, "cannot be read (No such file or directory)"),
        ("a.txt", b"a" * 1_000_001, "more than 1,000,000 bytes"),
    ],
)
def test_files_that_are_refused(name: str, content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        labels.read(tmp_path / name, tmp_path, "a")
    assert str(caught.value).startswith(f"{name}: {problem}")
