import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from pipeline.synthetic import corpus
from scripts.benchmarks import convert, encodings, every_frame_variant, measure, memory, reuse
from scripts.benchmarks.measure import Candidate, Measurement
from tests import datasets, videos
from tests.scripts import commands


def program(name: str, code: str, **argument: object) -> Candidate:
    """A candidate of a few lines; `a` is its argument."""
    return Candidate(name, (sys.executable, "-c", f"import json, sys\na = json.loads(sys.argv[1])\n{code}"), argument)


def test_candidates_take_turns(tmp_path: Path) -> None:
    code = "open(a['log'], 'a').write(a['me'])\nprint('news')\nprint(json.dumps({'items': 6, 'seconds': 2, 'own': 7}))"
    variants = [program(name, code, me=name, log=str(tmp_path / "log")) for name in "ABC"]
    measured = list(measure.alternate(variants, rounds=2))
    assert (tmp_path / "log").read_text() == "ABCABC"
    assert [one.candidate for one in measured] == [*"ABCABC"]
    for one in measured:
        assert {key: one.figures[key] for key in ("items", "seconds", "own", "rate")} == {
            "items": 6,
            "seconds": 2,
            "own": 7,
            "rate": 3,
        }
        assert one.figures["whole_s"] > 0


def test_processor_time_and_memory_are_those_of_all_its_processes() -> None:
    inner = "import time\nx = bytearray(80_000_000)\nwhile time.process_time() < 0.8: pass\ntime.sleep(0.5)"
    code = (
        f"import subprocess\ny = bytearray(40_000_000)\nsubprocess.run([sys.executable, '-c', {inner!r}])\n"
        "print(json.dumps({'items': 1, 'seconds': 1}))"
    )
    figures = measure.measure(program("A", code)).figures
    assert figures["cpu_s"] >= 0.8
    assert figures["whole_s"] >= 1.3
    assert 80 < figures["process_mb"] < 110
    assert 120 < figures["tree_mb"] < 160


def test_what_a_candidate_leaves_behind_is_ended() -> None:
    code = (
        "import subprocess\nleft = subprocess.Popen([sys.executable, '-c', 'while True: pass']).pid\n"
        "print(json.dumps({'items': 1, 'seconds': 1, 'left': left}))"
    )
    stat = Path(f"/proc/{int(measure.measure(program('A', code)).figures['left'])}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("it goes on running")


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("sys.exit('no such thing')", r"A: failed \(exit 1\): no such thing"),
        ("print('hello')", "A: want a JSON object of numbers as last line, got 'hello'"),
        ("pass", "A: want a JSON object of numbers as last line, got ''"),
        ("print([1])", r"A: want a JSON object of numbers as last line, got '\[1\]'"),
        ("""print('{"items": 3}')""", "A: want items and seconds above 0"),
        ("""print('{"items": 0, "seconds": 3}')""", "A: want items and seconds above 0"),
    ],
)
def test_a_candidate_that_fails_is_named(code: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        measure.measure(program("A", code))


def measurement(name: str, rate: float, **more: float) -> Measurement:
    return Measurement(name, {"rate": rate, "whole_s": 2, "cpu_s": 3, "process_mb": 100, "tree_mb": 1234, **more})


def test_medians_and_ratios() -> None:
    rates = [("slow", 10), ("fast", 30), ("slow", 90), ("fast", 25), ("slow", 20), ("fast", 1000)]
    measured = [measurement(name, rate, **({"own": rate / 10} if name == "fast" else {})) for name, rate in rates]
    assert measure.medians(measured)["slow"]["rate"] == 20
    assert measure.medians(measured)["fast"]["own"] == 3
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in measure.table(measured, "slow", "clips", {"own": "extra"}).splitlines()
    ]
    assert rows[0] == [
        "variant",
        "clips/s",
        "lowest to highest",
        "x slow",
        "whole s",
        "CPU s",
        "MB, largest process",
        "MB",
        "extra",
    ]
    assert {*"".join(rows[1])} == {"-"}
    assert rows[2:] == [
        ["slow", "20", "10 to 90", "1.00", "2", "3", "100", "1,234", ""],
        ["fast", "30", "25 to 1,000", "1.50", "2", "3", "100", "1,234", "3"],
    ]


def test_a_baseline_needs_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(measure, "BASELINES", tmp_path)
    names = {"mediapipe": "MediaPipe", "other": "the other"}
    (tmp_path / "mediapipe").mkdir()  # begun and not finished
    assert measure.baselines(names, {"x": 1}) == []
    assert capsys.readouterr().out == (
        "without MediaPipe: `make baseline-mediapipe` gets it\nwithout the other: `make baseline-other` gets it\n"
    )
    (tmp_path / "mediapipe" / "ready").touch()
    (found,) = measure.baselines(names, {"x": 1})
    assert found.name == "MediaPipe"
    assert found.command[0] == str(tmp_path / "mediapipe" / "bin" / "python")
    assert Path(found.command[1]).is_file()
    assert found.argument == {"x": 1}


def test_shifts_are_in_pixels_of_their_crop() -> None:
    theirs = np.array([[[0, 0], [0, 56], [-56, 56], [-56, 0]]], float)  # a quarter turn, half a picture pixel a crop's
    np.testing.assert_allclose(convert.shifts(theirs + np.array([3, 4]), theirs), [[8 - 6j] * 4])
    wider = np.array([[[2, -2], [2, 58], [-58, 58], [-58, -2]]], float)
    np.testing.assert_allclose(convert.shifts(wider, theirs), [[-4 - 4j, 4 - 4j, 4 + 4j, -4 + 4j]])


def test_frames_that_the_usual_way_misses_have_no_corners_and_do_not_count(tmp_path: Path) -> None:
    (path,) = corpus.render(tmp_path, corpus.SyntheticConfig(clips=1, speakers=1, width=280, height=224))
    frames = videos.read(path).luma[:7].copy()
    frames[[0, 4]] = 128
    datasets.write_video(tmp_path / "blinks.mp4", frames)
    assert every_frame_variant.convert((3, str(tmp_path / "blinks.mp4")), tmp_path) == 7
    crops, corners = np.load(tmp_path / "3.npy"), np.load(tmp_path / "3.corners.npy")
    seen = [1, 2, 3, 5, 6]
    assert np.flatnonzero(crops.any(axis=(1, 2))).tolist() == seen
    assert np.flatnonzero(~np.isnan(corners).any(axis=(1, 2))).tolist() == seen
    assert np.isnan(corners[[0, 4]]).all()
    apart = convert.shifts(corners[seen][[0] * 7] + 1, corners)
    assert convert._distances(apart) == convert._distances(apart[seen])


@pytest.mark.slow
def test_converting_is_measured(tmp_path: Path) -> None:
    config = corpus.SyntheticConfig(clips=2, speakers=1, width=280, height=224)
    list(corpus.render(tmp_path / "corpus", config))
    videos = convert.draw(tmp_path / "corpus", 5, seed=1)
    assert sorted(videos) == sorted(str(path) for path in (tmp_path / "corpus").glob("s1/*.mp4"))
    kept, limits = tmp_path / "figures.json", ("--clips=2", "--workers=1", "--rounds=1")
    (printed,) = commands.run(["benchmark", "convert", f"--source={tmp_path / 'corpus'}", *limits, f"--output={kept}"])
    figures = json.loads(kept.read_text())
    assert [one["variant"] for one in figures["measured"]][-3:] == [
        convert.NETWORKS,
        convert.OURS,
        convert.STAGES_OF_OURS,
    ]
    assert all(value > 0 for own in figures["medians"].values() for value in own.values())
    assert f"{figures['machine']['cores']} cores of " in printed
    assert re.search(r"\| lipflow +\| [\d.,]+ +\| [\d.,]+ to [\d.,]+ +\| [\d.]+ ", printed)
    assert re.search(r"\| landmarks +\| \d+\.\d\d +\| \d+% ", printed)
    close = re.search(rf"{convert.TRACKED} +\| both +\| (\S+) +\| (\S+) ", printed)
    assert 0 < float(close[1]) < 1.5
    assert float(close[2]) < 4


@pytest.mark.slow
def test_memory_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    list(corpus.render(tmp_path, corpus.SyntheticConfig(clips=1, speakers=1, width=280, height=224)))
    monkeypatch.setattr(memory, "VIDEOS", ((280, 224, 60), (1280, 720, 400)))
    small, large = memory.run(tmp_path, rounds=1)
    assert (small.figures["items"], large.figures["items"]) == (60, 400)
    assert 0 < large.figures["process_mb"] - small.figures["process_mb"] < 100  # its pictures alone are 369 MB
    assert "| 1280x720, 400 frames |" in capsys.readouterr().out


@pytest.mark.slow
def test_reuse_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    list(corpus.render(tmp_path, corpus.SyntheticConfig(clips=4, speakers=1, width=280, height=224)))
    videos = sorted(str(path) for path in tmp_path.glob("s1/*.mp4"))
    first, second = reuse.run(tmp_path, videos, workers=1, rounds=1)
    assert (first.candidate, second.candidate) == (reuse.SCRATCH, reuse.REUSE)
    assert (first.figures["clips"], second.figures["clips"]) == (3, 3)
    assert first.figures["seconds"] > second.figures["seconds"] > 0
    assert re.search(rf"\| {reuse.REUSE} +\| \d+\.\d\d ", capsys.readouterr().out)


@pytest.mark.slow
def test_encodings_are_measured(
    tiny: Callable[[str], DatasetDir], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "VARIANTS", (("raw", 92), ("jpeg", 85)))
    raw, jpeg = encodings.run(tiny("raw"), clips=4, seed=0, workers=1, rounds=1)
    assert raw.figures["bytes"] > 3 * jpeg.figures["bytes"] > 0
    assert "psnr" not in raw.figures
    assert 30 < jpeg.figures["psnr"] < 60
    assert "| jpeg 85 |" in capsys.readouterr().out
    with pytest.raises(DataError, match="want raw frames to encode, these are png"):
        encodings.run(tiny("png"), clips=4, seed=0, workers=1, rounds=1)


@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path: Path) -> None:
    place = "want a file in a directory that is there and may be written"
    commands.mistakes_in_turn(
        "benchmark",
        (["reading"], ["want one of convert, encodings", "got reading"]),
        (["convert"], ["missing: --source"]),
        (["convert", f"--output={tmp_path / 'none/figures.json'}"], ["none/figures.json", place]),  # before it begins
        (["convert", f"--output={tmp_path}"], [f"--output={tmp_path}: {place}"]),
        (["convert", f"--source={tmp_path}"], ["no GRID speaker", tmp_path]),
        (["encodings", f"--data={tmp_path}"], [tmp_path, "no manifest.json"]),
    )
