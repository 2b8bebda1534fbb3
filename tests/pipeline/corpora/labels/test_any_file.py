"""Any file is read or refused by name, whatever its kind; what is read obeys the rules."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpora import labels
from tests.pipeline.corpora.labels import rules, test_captions, test_ctm, test_textgrid, test_whisper

SHORT = test_textgrid.short(("phrases", test_textgrid.SAID), ("words", test_textgrid.ONE))
VALID = {
    ".textgrid": [test_textgrid.LONG, SHORT],
    ".json": [test_whisper.WHISPERX, '{"word_segments": [{"word": "yes", "start": 0, "end": 1}]}'],
    ".ctm": [test_ctm.TWO, "talk1 1 0.5 0.25 it's 0.98\n;; more\n"],
    ".vtt": [test_captions.VTT, test_captions.AUTOMATIC],
    ".srt": [test_captions.SRT],
    ".txt": ["Good morning\n"],
}
PIECES = [
    "\n",
    "\n\n",
    '"',
    "-->",
    "00:00:00,500",
    "00:00.500",
    "<v a>",
    "{",
    "}",
    "-1",
    "1e999",
    "NaN",
    "null",
    "\x00",
]
PIECES += [
    "\u2028",
    "\ufeff",
    "\U0001f600",
    "9" * 400,
    "[",
    "]",
    ";;",
    "a",
    "item [",
    'text = "',
    "intervals [",
    "<exists>",
]


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> str:
    """A valid file with some spans of it replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        stop = min(len(text), start + draw(st.integers(0, 40)))
        piece = st.just("") | st.sampled_from(PIECES) | st.just(text[start:stop] * 2) | st.text(max_size=3)
        text = text[:start] + draw(piece) + text[stop:]
    return text


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        found = labels.read(path, path.parent, "talk1")
    except ValueError as error:
        assert str(error).startswith(path.name)  # noqa: PT017, most files are refused
    else:
        rules.check(found)


@pytest.mark.parametrize("suffix", labels.KINDS)
@given(data=st.data())
def test_a_damaged_file(scratch: Path, suffix: str, data: st.DataObject) -> None:
    text = data.draw(mutated(VALID[suffix]))
    check(scratch / f"a{suffix}", text.encode(data.draw(st.sampled_from(["utf-8", "utf-16"])), "surrogatepass"))


@pytest.mark.parametrize("suffix", labels.KINDS)
@given(content=st.binary(max_size=80) | st.lists(st.sampled_from(PIECES)).map(lambda all: "".join(all).encode()))
def test_any_bytes(scratch: Path, suffix: str, content: bytes) -> None:
    check(scratch / f"a{suffix}", content)


@pytest.mark.parametrize("suffix", labels.KINDS)
@given(text=st.text(max_size=40))
def test_any_text_after_a_sound_beginning(scratch: Path, suffix: str, text: str) -> None:
    for valid in VALID[suffix]:
        check(scratch / f"a{suffix}", (valid + text).encode(errors="surrogatepass"))


@pytest.mark.parametrize(("suffix", "texts"), VALID.items())
def test_the_files_that_are_damaged_here_are_sound(scratch: Path, suffix: str, texts: list[str]) -> None:
    for text in set(texts) - {test_captions.AUTOMATIC}:
        (scratch / f"a{suffix}").write_text(text)
        labels.read(scratch / f"a{suffix}", scratch, "talk1")
