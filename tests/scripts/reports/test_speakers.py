from pathlib import Path

from model.evaluate import Prediction, Report
from scripts.reports import speakers
from tests import datasets


def test_the_speaker_read_worst_comes_first(tmp_path: Path) -> None:
    data = datasets.write_dataset(tmp_path, {"val": [[datasets.clip(f"s{n}/c", 9) for n in range(3)]]})
    rows = [
        ("s0/c#0", "a", "b"),
        ("s0/c#1", "a", "a"),
        ("s1/c#0", "a", "b"),
        ("s2/c#0", "a", "a"),
        ("s2/c#1", "a", "b"),
    ]
    report = Report(
        5, {"loss": 1.0, "wer": 0.6, "word_accuracy": 0.4}, (), {}, tuple(Prediction(*r, 0.0) for r in rows)
    )
    found = speakers.scores(report, {name: int(name[1]) for name, *_ in rows}, data.index)
    assert [(s.name, s.examples, s.clips, s.metrics) for s in found] == [
        ("s1", 1, 1, {"wer": 1.0, "word_accuracy": 0.0}),
        ("s0", 2, 1, {"wer": 0.5, "word_accuracy": 0.5}),
        ("s2", 2, 1, {"wer": 0.5, "word_accuracy": 0.5}),
    ]
    (table, _) = speakers.section(found).wide
    assert table.rows[0] == ("s1", 1, 1, 100.0, "unknown", 0.0)
    assert found[0].as_json()["intervals"] == {}
