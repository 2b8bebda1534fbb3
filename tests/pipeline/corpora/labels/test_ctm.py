import pytest

from pipeline.corpora.labels import ctm
from pipeline.corpora.labels.phrases import Labels
from pipeline.corpora.source import SpokenWord

FOUND = Labels(text="it's four", words=(SpokenWord("it's", 0.5, 0.75), SpokenWord("four", 0.75, 1.25)))
WANT = "want `recording channel start duration word confidence` in seconds, the last optional"
TWO = "talk1 1 0.5 0.25 IT'S\ntalk2 1 0 0.5 yes\ntalk1 1 0.75 0.5 four\n"


@pytest.mark.parametrize(
    "text",
    [
        "a 1 0.5 0.25 IT'S 0.98\na 1 0.75 0.5 four 1.00\n",
        ";; made by hand\r\n\r\na\t1\t0.50\t.25\tIt\u2019s\r\n  ;; more\r\na A 0.75 0.5 four".replace(" A ", " 1 "),
        "a 1 0.75 0.5 four\na 1 0.5 0.25 it's\n",
        "other 1 0.5 0.25 it's\nother 1 0.75 0.5 four\n",
        "a 1 0 0.5 <eps>\na 1 0.5 0.25 it's\na 1 0.75 0.5 four\na 1 1.25 1 SIL\n",
    ],
    ids=["confidence", "comments, tabs and CR LF", "any order", "one recording of another name", "silence"],
)
def test_words_of_a_recording(text: str) -> None:
    assert ctm.read(text, "a.ctm", "a") == FOUND


def test_rows_of_the_video_among_others() -> None:
    assert ctm.read(TWO, "all.ctm", "talk1") == FOUND


def test_recordings_named_by_the_paths_of_their_videos_go_before_the_last_part() -> None:
    text = TWO.replace("talk2", "b/talk1")
    assert ctm.read(text, "all.ctm", "a/talk1") == FOUND
    assert ctm.read(text, "all.ctm", "b/talk1").text == "yes"


def test_a_name_in_another_unicode_form() -> None:
    text = TWO.replace("talk1", "caf\u00e9")
    assert ctm.read(text, "all.ctm", "cafe\u0301") == ctm.read(text, "all.ctm", "caf\u00e9") == FOUND


def test_no_rows() -> None:
    assert ctm.read(";; nothing was said\n", "a.ctm", "a") == Labels()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a 1 0 0.5 b\n\na 1 0.5 b", f" line 3: {WANT}, got 'a 1 0.5 b'"),
        ("a 1 -1 0.5 b", f" line 1: {WANT}, got 'a 1 -1 0.5 b'"),
        ("a 1 nan 0.5 b", f" line 1: {WANT}, got 'a 1 nan 0.5 b'"),
        ("a 1 0 \u0665 b", f" line 1: {WANT}, got 'a 1 0 \u0665 b'"),
        ("a 1 0 0.5 b 1 c", f" line 1: {WANT}, got 'a 1 0 0.5 b 1 c'"),
        ("a 1 0 0.5 b\u00a0c", f" line 1: {WANT}, got 'a 1 0 0.5 b\\xa0c'"),
        ("a 1 " + "9" * 400 + " 0.5 b", ": 'b' (inf to inf s); want 0 <= start <= stop"),
        ("a 1 0 0.5 b\na 1 0.25 1 c", ": 'b' (0 to 0.5 s) and 'c' (0.25 to 1.25 s) overlap by 0.25 s; want 0.04"),
        ("a 1 0 300 b\na 1 300 400 c", ": words last 350 s on average, and the last one ends at 700 s; want seconds"),
        (
            "a 1 0 0.5 b\na 2 0 0.5 c",
            ": 2 channels, '1' and '2'; want one, of the talker whom the video shows: remove the rows of the others",
        ),
        (TWO, ": no rows of 'a', the name of the video; the recordings are 'talk1', 'talk2'"),
        ("talk1 1 0 0.5 yes\n", ": no rows of 'a', the name of the video; the recordings are 'talk1'"),
        (
            "".join(f"r{number} 1 0 1 b\n" for number in range(6)),
            ": no rows of 'a', the name of the video; the recordings are 'r0', 'r1', 'r2', 'r3', 'r4', …",
        ),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        ctm.read(text, "x.ctm", "a")
    assert str(caught.value).startswith(f"x.ctm{problem}")
