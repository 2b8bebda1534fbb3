"""A run that was really trained reads rendered clips: which words, and when. `tests/golden/README.md` says how."""

import itertools
import json
import re
from pathlib import Path

import pytest

from pipeline.schema import Word
from pipeline.synthetic.corpus import SyntheticConfig, Utterance, make_scene, render_clip
from pipeline.synthetic.visemes import SILENCE
from scripts.recipes import grid
from tests.datasets import GOLDEN
from tests.scripts import commands, pages

CONFIG = SyntheticConfig(width=280, height=224)  # the demo's
CLIPS = (Utterance(2, "lbaf7s"), Utterance(3, "srib6p"))  # of its test split
MAX_ERROR = 2 / CONFIG.fps + 1e-3  # seconds: two frames
CLOCK = re.compile(r"(\d+):(\d+):(\d+),(\d+)")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered")
    for clip in CLIPS:
        render_clip(root, CONFIG, clip)
    return root


def _said(clip: Utterance) -> list[Word]:
    return [Word(*word) for word in make_scene(CONFIG, clip).timeline.words if word[0] != SILENCE]


def _seconds(clock: str) -> float:
    hours, minutes, seconds, milliseconds = map(int, CLOCK.fullmatch(clock).groups())
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


def test_six_words_are_read_in_order_each_at_its_time(videos: Path) -> None:
    paths = [str(videos / clip.video) for clip in CLIPS]
    run = f"--run={GOLDEN / 'reader'}"
    (_, printed), *subtitles = commands.in_turn(
        "transcribe", [run, "--format=json", *paths], *([run, "--format=srt", path] for path in paths)
    )
    for clip, line, (_, srt) in zip(CLIPS, printed.splitlines(), subtitles, strict=True):
        said, read = _said(clip), json.loads(line)
        text = " ".join(word.text for word in said)
        assert len(said) == 6
        assert (read["text"], [word["word"] for word in read["words"]]) == (text, text.split())
        for true, word in zip(said, read["words"], strict=True):
            assert abs(word["start"] - true.start / CONFIG.fps) <= MAX_ERROR, (true, word)
            assert abs(word["stop"] - true.stop / CONFIG.fps) <= MAX_ERROR, (true, word)
        number, clocks, caption = srt.splitlines()
        start, stop = map(_seconds, clocks.split(" --> "))
        assert (number, caption) == ("1", text)
        assert abs(start - said[0].start / CONFIG.fps) <= MAX_ERROR
        assert abs(stop - said[-1].stop / CONFIG.fps) <= MAX_ERROR


def test_a_score_tells_how_far_off_the_words_are(videos: Path, tmp_path: Path) -> None:
    data, run = tmp_path / "data", GOLDEN / "reader"
    commands.run(["convert", "--corpus=grid", f"--source={videos}", f"--output={data}", "--val=0", "--test=0"])
    score = tmp_path / "score"
    arguments = [f"--run={run}", f"--data={data}", "--split=train", "--among=b,f", f"--output={score}"]
    (printed,) = commands.run(["evaluate", *arguments])
    times = json.loads((score / "report.json").read_text())["times"]
    assert times["words"] == 12
    assert max(times["start"], times["stop"]) <= 1
    assert max(times["start_90"], times["stop_90"]) <= 2
    assert re.search(r"\nwords whose times were compared +12\n", printed)
    assert grid.rows("reader", score) == [
        ("reader", "100.0% of words right, 0.0% WER"),
        ("  letters", "2 of 2 right; by chance one of 25"),
        ("  report", str(score / "report.html")),
    ]
    page = pages.check((score / "report.html").read_text()).text
    pairs = list(itertools.pairwise(page))
    for fact in (("words right", "100.0%"), ("sentences right", "100.0%"), ("words whose times were compared", "12")):
        assert fact in pairs
