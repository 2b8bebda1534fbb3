import pytest

from pipeline.corpora.labels import textgrid
from pipeline.corpora.labels.phrases import Labels, Phrase
from pipeline.corpora.source import SpokenWord

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0 
xmax = 2.5 
tiers? <exists> 
size = 3 
item []: 
    item [1]:
        class = "IntervalTier" 
        name = "words" 
        xmin = 0 
        xmax = 2.5 
        intervals: size = 4 
        intervals [1]:
            xmin = 0 
            xmax = 0.5 
            text = "" 
        intervals [2]:
            xmin = 0.5 
            xmax = 0.75 
            text = "It's" 
        intervals [3]:
            xmin = 0.75 
            xmax = 1.25 
            text = "four" 
        intervals [4]:
            xmin = 1.25 
            xmax = 2.5 
            text = "spn" 
    item [2]:
        class = "IntervalTier" 
        name = "phones" 
        xmin = 0 
        xmax = 2.5 
        intervals: size = 1 
        intervals [1]:
            xmin = 0 
            xmax = 2.5 
            text = "IH1" 
    item [3]:
        class = "TextTier" 
        name = "clicks" 
        xmin = 0 
        xmax = 2.5 
        points: size = 1 
        points [1]:
            number = 1 
            mark = "one two" 
"""  # noqa: W291, as Praat writes it
WORDS = (SpokenWord("it's", 0.5, 0.75), SpokenWord("four", 0.75, 1.25))
FOUND = Labels(text="it's four", words=WORDS, end=2.5)

Row = tuple[float, float, str]


def short(*tiers: tuple[str, list[Row]]) -> str:
    """A TextGrid of 4 s in the short form."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "4", "<exists>", f"{len(tiers)}"]
    for name, rows in tiers:
        lines += ['"IntervalTier"', f'"{name}"', "0", "4", f"{len(rows)}"]
        for start, stop, label in rows:
            lines += [f"{start}", f"{stop}", '"{}"'.format(label.replace('"', '""'))]
    return "\n".join(lines) + "\n"


def read(text: str) -> Labels:
    return textgrid.read(text, "a.TextGrid", "a")


ONE: list[Row] = [(0, 0.5, ""), (0.5, 0.75, "IT'S"), (0.75, 1.25, "four")]
SAID: list[Row] = [(0.25, 1.5, "It's four"), (1.5, 2, ""), (2, 4, 'He said "4"')]
FIRST = Phrase("it's four", 0.25, 1.5, WORDS)
SECOND = Phrase('he said "4"', 2, 4)


def test_words_of_the_long_form() -> None:
    assert read(LONG) == FOUND


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace("\n", "\r\n"),
        LONG.replace("\n", "\r"),
        LONG.rstrip(),
        LONG.replace('"words"', '"Word"'),
        LONG.replace(" \n", "\n"),
        LONG.replace("It's", "it\u2019s\n"),
    ],
    ids=["CR LF", "CR", "no last line end", "name in another case", "no blanks", "line end in a label"],
)
def test_the_same_words(text: str) -> None:
    assert read(text) == FOUND


@pytest.mark.parametrize(
    ("tiers", "labels"),
    [
        ([("words", ONE)], Labels(text="it's four", words=WORDS, end=4)),
        ([("ann - words", ONE), ("ann - phones", [(0, 4, "x")])], Labels((), "it's four", WORDS, 4, "ann")),
        ([("ORT-MAU", ONE)], Labels(text="it's four", words=WORDS, end=4)),
        ([("talk", SAID)], Labels((Phrase("it's four", 0.25, 1.5), SECOND), end=4)),
        ([("Sentences", [(0, 4, "yes")])], Labels((Phrase("yes", 0, 4),), end=4)),
        ([("Transcript", SAID), ("words", ONE)], Labels((FIRST, SECOND), end=4)),
        (
            [("Ann - utterances", SAID[:1]), ("Ann - words", ONE)],
            Labels((Phrase("it's four", 0.25, 1.5, WORDS, "Ann"),), end=4, speaker="Ann"),
        ),
        ([("words", [])], Labels(end=4)),
    ],
    ids=["words", "speaker", "only tier, words", "only tier, phrases", "phrases", "both", "both of a speaker", "empty"],
)
def test_tiers(tiers: list[tuple[str, list[Row]]], labels: Labels) -> None:
    assert read(short(*tiers)) == labels


def test_a_word_falls_into_the_phrase_that_has_its_middle() -> None:
    spoken = [(0.0, 1.2, "a"), (1.2, 2, "b")]
    found = read(short(("phrases", [(0.2, 1, "a"), (1, 2, "b")]), ("words", spoken))).phrases
    assert found == (
        Phrase("a", 0.2, 1, (SpokenWord("a", 0.2, 1),)),
        Phrase("b", 1, 2, (SpokenWord("b", 1.2, 2),)),
    )


@pytest.mark.parametrize("second", [[], [(2, 3, "")]], ids=["behind all", "in one without text"])
def test_a_word_in_no_phrase_is_named(second: list[tuple[float, float, str]]) -> None:
    text = short(("phrases", [(0.2, 2, "b"), *second]), ("words", [(1.2, 2, "b"), (2, 2.4, "so")]))
    with pytest.raises(ValueError, match=r"'so' \(2 to 2.4 s\) lies in no phrase; write it into one, or remove it"):
        read(text)


SAVE = "; open it in Praat, and save it as text file"
CUT = LONG.index("        intervals [4]")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "want a TextGrid of Praat, which begins with File type = \"ooTextFile\", got ''"),
        ("good day", "want a TextGrid of Praat, which begins with File type = \"ooTextFile\", got 'good day'"),
        ('File type = "ooTextFile"\n', f"no text form of a TextGrid (list index out of range){SAVE}"),
        (LONG[:CUT], f"damaged, 1 of 3 tiers{SAVE}"),
        (short(("words", ONE)).rsplit("0.75", 1)[0], f"damaged, 2 of 3 entries of tier 'words'{SAVE}"),
        (short(("words", ONE)).replace("four", "four")[:-2], f"damaged, 2 of 3 entries of tier 'words'{SAVE}"),
        (LONG.replace("intervals: size = 4", "intervals:"), f"damaged, 3 sizes of 3 tiers and their number{SAVE}"),
        (LONG.replace("It's", "a " * 5000), "an interval has 10,084 characters; want 10,000 at most"),
        (LONG.replace("xmin = 0 ", "xmin = -1 ", 1), "xmin: want seconds from 0 on, got -1.0"),
        (
            LONG.replace("xmax = 0.75", "xmax = 0.7.5"),
            "tier 'words' interval 2: want seconds, got '0.7.5'",
        ),
        (short(("words", [(0.5, 0.25, "a")])), "'a' (0.5 to 0.25 s); want 0 <= start <= stop"),
        (short(("words", [(0, 1, "a"), (0.5, 2, "b")])), "'a' (0 to 1 s) and 'b' (0.5 to 2 s) overlap by 0.5 s"),
        (
            short(("words", [(0, 1, "good day")])),
            "tier 'words' interval 1: want one word, got 'good day'; name a tier of phrases so",
        ),
        (
            short(("ORT", ONE), ("phones", ONE)),
            "no tier of intervals named words or phrases; the tiers are 'ORT', 'phones': rename one",
        ),
        (short(("phones", ONE)), "no tier of intervals named words or phrases; the tiers are 'phones': rename one"),
        (short(), f"no text form of a TextGrid (list index out of range){SAVE}"),
        (short(("words", ONE), ("Word", ONE)), "two tiers of words, 'words' and 'Word'; keep one"),
        (
            short(("ann - words", ONE), ("bob - words", ONE)),
            "tiers of 2 speakers, ann, bob; want a video of one talker: keep the tiers of the one whom it shows",
        ),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011, its text is compared
        read(text)
    assert str(caught.value).startswith(f"a.TextGrid: {problem}")
