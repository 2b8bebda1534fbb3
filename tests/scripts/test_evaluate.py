import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.mouth.settings import CropSettings
from pipeline.records.directory import DatasetDir
from tests import datasets
from tests.scripts import commands, pages, tiny_runs


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["sentence", "word"])
def test_the_report_is_in_the_run(unit: str, tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    data = tiny("raw")
    run = tiny_runs.write(tmp_path / "run", unit, crop=CropSettings(**data.manifest["conversion"]["crop"]))
    score = [f"--run={run}", f"--data={data.root}", "--split=val"]
    (end, printed), (missing, _), (unknown, _) = commands.in_turn(
        "evaluate", [*score, "--among=bin,at"], [*score, "--split=dev"], [*score, "--among=bin,bi"]
    )
    reports = run / f"evaluation-{data.root.name}-val"
    assert end is None
    assert "(4 times one of bin, at)" in printed
    assert "--among: the data has no word 'bi'; choose from at, bin, now" in unknown
    assert "no split 'dev'" in missing
    assert f"report: {reports / 'report.html'}" in printed
    assert {path.name for path in run.iterdir()} == {"run.json", "best", reports.name}
    found = json.loads((reports / "report.json").read_text())
    ids, truths = [row["id"] for row in found["predictions"]], [row["truth"] for row in found["predictions"]]
    if unit == "word":
        assert (ids[:2], truths[:3]) == (["s1/c13#0", "s1/c13#1"], ["bin", "at", "now"])
    else:
        assert (ids, truths) == (["s1/c13", "s2/c14"], ["bin at now"] * 2)
    decoder = "greedy" if unit == "word" else "beam"
    assert (found["examples"], found["split"], found["decoder"]) == (len(ids), "val", decoder)
    assert (found["among"], found["said_among"]) == (["bin", "at"], 4)
    assert sum(pair["count"] for pair in found["confusion"] if pair["said"]) == 6
    assert f"{found['metrics']['wer']:.4f}" in printed
    assert ("words whose times were compared" in printed) == (found["times"] is not None)
    assert unit == "sentence" or found["times"] is None
    assert {speaker["name"] for speaker in found["speakers"]} == {"s1", "s2"}
    assert sum(speaker["examples"] for speaker in found["speakers"]) == found["examples"]
    assert found["command"] == f"python -m scripts.evaluate {' '.join(score)} --among=bin,at"
    page = pages.check((reports / "report.html").read_text())
    assert "run on tiny, val" in page.text
    assert f"split val date {found['date']} command {found['command']}" in " ".join(page.text)


@pytest.mark.slow
def test_a_report_goes_where_it_is_wanted_or_is_refused(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    data = tiny("raw")
    run = tiny_runs.write(tmp_path / "run", crop=CropSettings(**data.manifest["conversion"]["crop"]))
    score = [f"--run={run}", f"--data={data.root}", "--split=val"]
    beam = [*score, "--decoder=beam", "--lexicon=vocabulary"]
    (tmp_path / "file").touch()
    (end, _), (refused, _) = commands.in_turn(
        "evaluate", [*beam, f"--output={tmp_path / 'a' / 'b'}"], [*score, f"--output={tmp_path / 'file'}"]
    )
    assert (end, refused) == (
        None,
        f"error: {tmp_path / 'file'}: cannot be made (File exists); name another directory with --output",
    )
    found = json.loads((tmp_path / "a" / "b" / "report.json").read_text())
    assert (found["decoder"], found["lexicon"]) == ("beam", "vocabulary")
    assert all(set(row["read"].split()) <= set(tiny_runs.WORDS) for row in found["predictions"])


def test_reports_on_datasets_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    a, b = (
        datasets.write_dataset(tmp_path / place / "mine", {"val": [[datasets.clip(clip, 12)]]})
        for place, clip in (("one", "a"), ("two", "b"))
    )
    run = tiny_runs.write(tmp_path / "run", crop=CropSettings(**a.manifest["conversion"]["crop"]))
    score = [f"--run={run}", "--split=val"]
    of_a, of_b = ([*score, f"--data={data.root}"] for data in (a, b))
    ends = commands.in_turn("evaluate", of_a, of_b, of_b, [*of_a, "--decoder=greedy"])
    assert [end for end, _ in ends] == [None] * 4
    names = {"evaluation-mine-val": ("a", "greedy"), f"evaluation-mine-val-{b.fingerprint[:8]}": ("b", "beam")}
    assert {path.name for path in run.glob("evaluation-*")} == names.keys()
    for name, (clip, decoder) in names.items():
        found = json.loads((run / name / "report.json").read_text())
        assert ([row["id"] for row in found["predictions"]], found["decoder"]) == ([clip], decoder)
    (run / "evaluation-mine-val" / "report.json").write_text("of somebody else")
    commands.in_turn("evaluate", of_a)
    assert (run / f"evaluation-mine-val-{a.fingerprint[:8]}" / "report.json").is_file()
    assert (run / "evaluation-mine-val" / "report.json").read_text() == "of somebody else"
