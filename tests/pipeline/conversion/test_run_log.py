import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from pipeline.conversion import run_log
from pipeline.conversion.progress import Outcome, Rejected, StageSeconds
from pipeline.conversion.run_log import CONVERSION, RunLog
from pipeline.schema import DataError

REJECTED = Outcome(Rejected("x", "x.mp4", "no_face", ""), StageSeconds())
SHARD = [Outcome(None, StageSeconds()), REJECTED, Outcome(None, StageSeconds()), Outcome(None, StageSeconds())]


def runs(output: Path) -> list[dict[str, Any]]:
    return json.loads((output / CONVERSION).read_text())["runs"]


def test_a_run_is_noted_before_anything_is_done_and_after_each_shard(tmp_path: Path) -> None:
    with RunLog(tmp_path, {"workers": 2, "crop": {"margin": 1.6}}, resumed=7) as run:
        (begun,) = runs(tmp_path)
        assert (begun["ended"], begun["clips"]) == ("unfinished", {"resumed": 7, "converted": 0, "rejected": 0})
        assert begun["flags"] == {"workers": 2, "crop": {"margin": 1.6}}
        assert begun["versions"]["tensorflow"] == tf.__version__
        assert {"lipflow", "python", "av", "libavcodec"} <= set(begun["versions"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", begun["started"])
        run.shard(SHARD, StageSeconds(1.26, 2.0, 0.5))
        run.shard(SHARD, StageSeconds(2.5, 4.0, 1.0))
        (going,) = runs(tmp_path)
        assert (going["ended"], going["clips"]) == ("unfinished", {"resumed": 7, "converted": 6, "rejected": 2})
        assert going["worker_seconds"] == {"reading": 2.5, "cropping": 4.0, "writing": 1.0}
    assert runs(tmp_path)[0]["ended"] == "finished"


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (KeyboardInterrupt(), "stopped"),
        (GeneratorExit(), "stopped"),
        (DataError("out: No space left on device"), "failed: out: No space left on device"),
    ],
    ids=repr,
)
def test_how_a_run_ended_is_kept_beside_those_before(tmp_path: Path, error: BaseException, ended: str) -> None:
    RunLog(tmp_path, {}, 0).__enter__()  # killed
    with pytest.raises(type(error)), RunLog(tmp_path, {}, 1):
        raise error
    with RunLog(tmp_path, {}, 2):
        pass
    assert [(run["ended"], run["clips"]["resumed"]) for run in runs(tmp_path)] == [
        ("unfinished", 0),
        (ended, 1),
        ("finished", 2),
    ]


def lose(place: Path) -> None:
    shutil.rmtree(place)
    raise DataError("the disk is gone")


def test_a_journal_that_cannot_be_written_does_not_hide_why_the_run_failed(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    with pytest.raises(DataError, match="the disk is gone"), RunLog(place, {}, 0):
        lose(place)
    with pytest.raises(DataError, match=r"out/\.?conversion.json.*: No such file or directory"), RunLog(place, {}, 0):
        pytest.fail("it has begun")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_another_file_of_its_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / CONVERSION).write_text(text)
    with pytest.raises(DataError, match=r"conversion.json: not as a conversion writes it \(.*\); remove it"):
        RunLog(tmp_path, {}, 0)


def test_versions_name_the_project() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", run_log.versions()["lipflow"])


def test_other_versions_of_what_decides_crops_are_named(tmp_path: Path) -> None:
    assert run_log.other_versions(tmp_path) == []
    with RunLog(tmp_path, {}, 0):
        pass
    assert run_log.other_versions(tmp_path) == []
    log = json.loads((tmp_path / CONVERSION).read_text())
    log["runs"][-1]["versions"] |= {"av": "1.0", "python": "2.7"}
    (tmp_path / CONVERSION).write_text(json.dumps(log))
    (line,) = run_log.other_versions(tmp_path)
    assert line.startswith("av was 1.0, is ")
