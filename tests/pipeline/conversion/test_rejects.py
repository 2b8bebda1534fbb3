"""Clips that a conversion rejects: their table, too many of them, and trying them again."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from pipeline.conversion import job as conversion
from pipeline.conversion import progress, shard
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.run_log import CONVERSION
from pipeline.inspection import report
from pipeline.records import directory
from pipeline.schema import DataError
from tests import conversions, datasets
from tests.conversions import Digest


@pytest.fixture(scope="module")
def spoilt(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sound clips, and one of each fault."""
    root = tmp_path_factory.mktemp("spoilt") / "corpus"
    for name in ("bbaf2n", "bbaf3s", "bbaf4p"):
        datasets.write_grid_clip(root, f"s1/{name}", 20)
    datasets.write_grid_clip(root, "s1/short", 4)
    datasets.write_grid_clip(root, "s1/empty", 20, [("sil", 0, 20)])
    datasets.write_grid_clip(root, "s1/foreign", 20, [("naïve,", 2, 9)])
    datasets.write_grid_clip(root, "s1/long", 20, [("a" * 17, 2, 9)])
    datasets.write_grid_clip(root, "s1/un, named", 20)
    (root / "s1/text.mp4").write_text("this is a text, not a video\n" * 100)
    datasets.write_alignment(root / "alignments/s1/text.align")
    (root / "alignments/s1/un, named.align").unlink()
    return root


def test_rejects_are_rows_and_too_many_fail_until_allowed(spoilt: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(DataError, match=r"6 of 9 clips rejected \(.*more than --max_reject_fraction=0.05 allows"):
        conversions.run(spoilt, output)
    assert not (output / directory.MANIFEST).exists()
    rejected = (output / directory.REJECTED).read_bytes()
    rows = {row["id"]: row for row in csv.DictReader(rejected.decode().splitlines())}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "s1/short": "too_short",
        "s1/empty": "bad_transcript",
        "s1/foreign": "bad_character",
        "s1/long": "text_too_long",
        "s1/text": "unreadable",
        "s1/un, named": "bad_transcript",
    }
    assert rows["s1/un, named"]["source"] == "s1/un, named.mp4"
    assert rows["s1/foreign"]["detail"].startswith("',', 'ï' in 'naïve,' are not in the alphabet")
    (last,) = conversions.run(spoilt, output, max_reject_fraction=0.7)
    assert last == Progress(clips=9, resumed=9, resumed_rejected=6)
    opened = directory.open_dataset(output)
    assert sorted(opened.index.id) == ["s1/bbaf2n", "s1/bbaf3s", "s1/bbaf4p"]
    assert opened.manifest["rejected"] == {
        "bad_character": 1,
        "bad_transcript": 2,
        "text_too_long": 1,
        "too_short": 1,
        "unreadable": 1,
    }
    assert (output / directory.REJECTED).read_bytes() == rejected
    runs = json.loads((output / CONVERSION).read_text())["runs"]
    assert runs[0]["ended"].startswith("failed: 6 of 9 clips rejected")
    assert (runs[1]["ended"], runs[1]["clips"]["resumed"]) == ("finished", 9)
    assert not any(directory.verify(opened))
    assert not [path for path in output.iterdir() if path.name.startswith(".")]


def test_what_was_rejected_is_tried_again_when_that_is_asked_for(
    whole: Path, corpus: Path, tmp_path: Path, digest: Digest
) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (root / "s1/bbaf2n.mp4").write_bytes(b"no video")
    ways = ".*kept: .*--reuse takes their crops; --retry_rejected .*; --max_reject_fraction=0.125 accepts the rejects"
    why = r"such as s1/bbaf2n.mp4: not a video that can be decoded \(.*\); see .*/out/rejected.csv"
    with pytest.raises(
        DataError, match=rf"^1 of 8 clips rejected \(1 unreadable\), more than .* allows, {why}; {ways}$"
    ):
        conversions.run(root, output)
    shutil.copy(corpus / "s1/bbaf2n.mp4", root / "s1/bbaf2n.mp4")
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        conversions.run(root, output)
    states = conversions.run(root, output, retry_rejected=True)
    assert states[0] == Progress(clips=8, resumed=6)
    assert digest(output) == digest(whole)


def test_the_table_of_rejects_can_be_read_whatever_a_label_holds(corpus: Path, tmp_path: Path) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    label = next(root.rglob("bbaf2n.align"))
    label.write_text(f"0 25000 {'é' * 140_000}\n")  # more than a field of a table may have
    conversions.run(root, output, max_reject_fraction=0.5)
    (reject,) = report.rejects(directory.open_dataset(output), max_per_reason=9)
    assert (reject.id, reject.reason) == ("s1/bbaf2n", "bad_character")
    assert reject.detail.startswith("'é' in 'ééé")
    assert reject.detail.endswith("é…")


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def begun_shards(corpus: Path) -> list[tuple[str, list[str]]]:
    return [
        (task.file("grid"), [s.id for s in task.sources])
        for task in shard.plan_shards(conversions.sources(corpus), conversions.CONFIG)
    ]


def test_a_retry_that_is_stopped_loses_nothing_and_goes_on(
    whole: Path, corpus: Path, tmp_path: Path, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (first, one), (second, other), *_ = begun_shards(corpus)
    for name in (one[0], other[0]):
        (root / f"{name}.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="2 of 8 clips rejected"):
        conversions.run(root, output)
    for name in (one[0], other[0]):
        shutil.copy(corpus / f"{name}.mp4", root / f"{name}.mp4")
    with monkeypatch.context() as patch:
        patch.setattr(conversion.RunLog, "shard", _stop)  # the first is whole, and the second is not given out yet
        with pytest.raises(KeyboardInterrupt):
            conversions.run(root, output, retry_rejected=True)
    assert [len(progress.read_note(output, file).rejected) for file in (first, second)] == [0, 1]
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        conversions.run(root, output)
    assert conversions.run(root, output, retry_rejected=True)[0] == Progress(clips=8, resumed=6)
    assert digest(output) == digest(whole)


def test_a_retry_goes_on_with_what_it_has_marked_alone(corpus: Path, tmp_path: Path) -> None:
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    (first, one), (second, _), *_ = begun_shards(corpus)
    (root / f"{one[0]}.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="1 of 8 clips rejected"):
        conversions.run(root, output)
    tasks = shard.plan_shards(conversions.sources(root), conversions.CONFIG)

    def left() -> list[str]:
        return [task.file("grid") for task in conversion.survey(tasks, output, conversions.CONFIG, True)[0]]

    assert left() == [first]
    progress.retry_path(output, second).touch()  # as a retry marks what it has to do, and is stopped in the last of it
    progress.note_path(output, second).unlink()
    assert left() == [second]


def test_a_job_that_cannot_come_good_any_more_ends_early(
    whole: Path, corpus: Path, tmp_path: Path, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "MIN_REJECTS", 2)
    root, output = shutil.copytree(corpus, tmp_path / "corpus"), tmp_path / "out"
    for video in root.glob("s*/*.mp4"):
        video.write_bytes(b"no video")
    said = "2 of 8 clips rejected already.*--max_reject_fraction=0.125 allows, .*higher limit"
    for _ in range(2):  # the second time at once
        with pytest.raises(DataError, match=said):
            conversions.run(root, output, max_reject_fraction=0.125)
        assert len(list((output / progress.PROGRESS).glob("*tfrecord*.json"))) == 1
        assert len((output / directory.REJECTED).read_text().splitlines()) == 1 + 2
    for video in root.glob("s*/*.mp4"):
        shutil.copy(corpus / video.relative_to(root), video)
    conversions.run(root, output, retry_rejected=True)
    assert digest(output) == digest(whole)


@pytest.mark.usefixtures("forked_workers")
def test_all_clips_rejected_is_an_error(spoilt: Path, tmp_path: Path) -> None:
    bad = [source for source in conversions.sources(spoilt) if source.id in ("s1/short", "s1/empty")]
    with pytest.raises(DataError, match=r"all 2 clips rejected \(.*such as s1/.*see .*rejected.csv"):
        list(convert(bad, spoilt, tmp_path / "out", conversions.CONFIG, max_reject_fraction=1.0))
    assert not (tmp_path / "out" / directory.MANIFEST).exists()
