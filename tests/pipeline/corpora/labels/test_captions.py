import pytest

from pipeline.corpora.labels import captions
from pipeline.corpora.labels.phrases import Labels, Phrase

SRT = """1
00:00:01,000 --> 00:00:02,500
{\\an8}<font color="red">Good</font> <i>morning</i>
to you

2
00:00:02,500 --> 01:00:04,000
[music] I have
42
"""
FOUND = Labels((Phrase("good morning to you", 1, 2.5), Phrase("[music] i have 42", 2.5, 3604)))
VTT = """WEBVTT - made by hand

STYLE
::cue { color: red }

NOTE two lines
of notes

REGION
id:one

intro
00:01.000 --> 00:02.500 align:start position:0%
<v.loud Ann &amp;  Lee>Good <c.red>morning</c> &amp;
I am 42

00:00:02.500 --> 00:00:03.000

the end
00:00:03.000 --> 01:00:04.000
a &lt;b&gt; <00:00:03.200><c>c</c><00:00:03.400><c> d</c>
7
"""


def read(text: str) -> Labels:
    return captions.read(text, "a.srt", "a")


@pytest.mark.parametrize(
    "text",
    [
        SRT,
        SRT.replace("\n", "\r\n"),
        SRT.replace("\n", "\r"),
        SRT.replace(",", "."),
        SRT.replace("\n2\n", "\n\n \n2\n") + "\n\n\n",
        SRT + "\n3\n00:59:04,000 --> 00:59:04,000\n\n",
        SRT.replace("to you", "to\n\nyou"),
    ],
    ids=["plain", "CR LF", "CR", "points", "blank lines", "an empty caption", "a blank line in a caption"],
)
def test_captions_of_subrip(text: str) -> None:
    assert read(text) == FOUND


def test_captions_without_numbers_keep_a_number_at_their_end() -> None:
    text = "\n00:00:01,000 --> 00:00:02,000\nI have\n42\n\n00:00:03,000 --> 00:00:04,000\n7\n"
    assert read(text) == Labels((Phrase("i have 42", 1, 2), Phrase("7", 3, 4)))


@pytest.mark.parametrize("text", [VTT, VTT.replace("\n", "\r\n"), VTT.replace("00:00:03.000 -->", "00:03.000\t-->")])
def test_cues_of_webvtt(text: str) -> None:
    assert read(text) == Labels(
        (Phrase("good morning & i am 42", 1, 2.5, (), "Ann & Lee"), Phrase("a <b> c d 7", 3, 3604))
    )


def test_a_cue_of_two_voices_names_none() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>- Yes\n<v Bob>- No\n"
    assert read(text) == Labels((Phrase("- yes - no", 1, 2),))


def test_captions_of_the_same_times_are_joined() -> None:
    times = "00:00:01,000 --> 00:00:02,000"
    assert read(f"1\n{times}\nyes\n\n2\n{times}\nno\n") == Labels((Phrase("yes no", 1, 2),))


def test_a_sentence_said_again_and_again() -> None:
    cues = (f"{number}\n00:00:0{number},000 --> 00:00:0{number},900\nlay blue\n\n" for number in range(1, 6))
    assert [phrase.text for phrase in read("".join(cues)).phrases] == ["lay blue"] * 5


AUTOMATIC = """WEBVTT

00:00:00.000 --> 00:00:02.000

good<00:00:00.500><c> morning</c>

00:00:02.000 --> 00:00:02.010
good morning


00:00:02.010 --> 00:00:04.000
good morning
how<00:00:02.500><c> are</c>

00:00:04.000 --> 00:00:04.010
how are


00:00:04.010 --> 00:00:06.000
how are
you
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ": no captions; want SubRip or WebVTT, a line `start --> stop` above each text"),
        ("WEBVTT\n\nNOTE nothing\n", ": no captions; want SubRip or WebVTT, a line `start --> stop` above each text"),
        ("1\n00:01 --> 00:02\nyes", " line 2: want times such as `00:00:01,500 --> 00:00:02,000`, got '00:01 -->"),
        ("WEBVTT\n\n1 --> 2\nyes", " line 3: want times such as `00:00:01.500 --> 00:00:02.000`, got '1 --> 2'"),
        (SRT.replace("00:00:01,000", "-00:00:01,000"), " line 2: want times such as"),
        (VTT.replace("00:01.000", "00::00:01.000"), " line 13: want times such as"),
        (
            VTT.replace("I am 42", ":00:01.000 :00:02.000"),
            ": a line of text has times in it (invalid literal for int() with base 10: ''); remove them",
        ),
        (SRT.replace("00:00:01,000", "00:01,000"), " line 2: want times such as"),
        (SRT.replace("Good", "-->"), " line 3: want times such as"),
        (
            SRT.replace("to you", "00:00:01,000 00:00:02,000"),
            ": 3 captions with 2 lines of times; want one each",
        ),
        (SRT.replace("Good", "a" * 2000), ": the caption of 1 s has 2,0"),
        (
            SRT.replace("00:00:02,500 -->", "00:00:02,000 -->"),
            ": 'good morning to you' (1 to 2.5 s) and '[music] i have 42' (2 to 3604 s) overlap by 0.5 s; want 0.3",
        ),
        (
            AUTOMATIC,
            ": 2 captions begin with the last line before them, such as 'good morning'; rolling captions, which repeat",
        ),
    ],
)  # fmt: skip
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        read(text)
    assert str(caught.value).startswith(f"a.srt{problem}")


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (r"{\an8}{\i1}no{\i0} {sighs} so", "no {sighs} so"),
        ("if a <be and c> d", "if a <be and c> d"),
        ("one<br>two<BR/>three", "one two three"),
        ('<font color="#ff0000">no</font> <U>so</U>', "no so"),
    ],
)
def test_only_tags_are_removed(said: str, text: str) -> None:
    (phrase,) = captions.read(f"1\n00:00:01,000 --> 00:00:02,500\n{said}\n", "a.srt", "a").phrases
    assert phrase.text == text
