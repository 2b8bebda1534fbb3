import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, DataError
from scripts.reports import dataset_page
from tests import datasets
from tests.scripts import pages

EVIL = '<script>alert("1")</script>\n\'&'
SEEN = '<script>alert("1")</script> \'&'


def _html(dataset: DatasetDir, clips: int = 1, seed: int = 0) -> str:
    return dataset_page.html(dataset, [("command", "as typed")], clips, 100, seed)


def test_the_page_shows_the_figures(tiny: Callable[[str], DatasetDir]) -> None:
    found = pages.check(_html(tiny("raw"), clips=3))
    for name, value in [
        ("clips", "15"),
        ("speakers", "3"),
        ("minutes", "0.13"),  # 192 frames at 25 a second
        ("megabytes", "2.41"),
        ("as", "typed"),
        ("words", "45"),
        ("distinct words", "3"),
        ("frames tracked", "92.19%"),
        ("clips rejected", "0"),
        ("setting", "value"),
        ("name", "tiny"),
        ("encoding.name", "raw"),
    ]:
        assert (name, value) in zip(found.text, found.text[1:], strict=False), name
    captions = [
        "10 to 16, median 13 (0.52 s at 25 fps)",
        "2 to 4, median 3 (0.12 s at 25 fps)",
        "3 words; 0 of them occur once",
        "15 of 15 clips have frames where no face was found and the track was interpolated",
        "No clip was rejected.",
        "Brightness and the mouth's place are compared among at least 20 clips; 15 were measured.",
    ]
    assert [text for text in captions if text not in found.text] == []
    doubtful = int(found.text[found.text.index("clips in doubt") + 1])
    assert len(found.pictures()) == 4 + 3 + dataset_page.SHEETS_OF_WORST + doubtful


def test_the_same_clips_and_seed_give_the_same_page(tiny: Callable[[str], DatasetDir]) -> None:
    pages_of = [_html(tiny("raw"), 2, seed) for seed in (0, 0, 1)]
    assert pages_of[0] == pages_of[1] != pages_of[2]


@pytest.mark.parametrize(
    ("hours", "unit"),
    [([0.5, 0.4], "minutes"), ([0.5, 0.6], "hours"), ([30, 0.004, 0], "minutes"), ([30, 0.01, 0], "hours")],
    ids=["under an hour", "over an hour", "a split of 14 seconds", "of 36"],
)
def test_short_lengths_are_minutes(hours: list[float], unit: str) -> None:
    assert dataset_page._unit_of_time(hours)[0] == unit


def test_clips_unlike_the_others_are_listed_and_shown(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n:02}", 9, seed=0) for n in range(25)]
    for number, change in ((7, 40), (11, 90)):
        clips[number] = dataclasses.replace(clips[number], frames=clips[number].frames + np.uint8(change))
    dataset = datasets.write_dataset(tmp_path, {"train": [clips]})
    found = pages.check(_html(dataset, 0))
    listed = found.text[found.text.index("Far from the others") :]
    usual = round(float(clips[0].frames.mean()))
    assert listed[8:22] == [
        *("s1/c11", "train", "brightness", str(usual + 90), str(usual), "gray level of 255", "bin at now"),
        *("s1/c07", "train", "brightness", str(usual + 40), str(usual), "gray level of 255", "bin at now"),
    ]
    shown = listed[22:]
    assert "25 of 25 clips were measured (--measure)" in shown[0]
    assert shown[1:5:2] == ["s1/c11", "s1/c07"]


@pytest.mark.parametrize("count", [12, 25], ids=["few", "enough"])
def test_damaged_records_among_those_measured_are_counted(tmp_path: Path, count: int) -> None:
    clips = [dataclasses.replace(datasets.clip(f"s1/c{n:02}", 9), tracked=np.ones(9, bool)) for n in range(count)]
    dataset = datasets.write_dataset(tmp_path, {"train": [clips]})
    with dataset.shards[0].open("r+b") as file:
        for record in (3, 8):
            file.seek(dataset.index.row(record).offset + 500)
            file.write(b"?")
    (said,) = [text for text in pages.check(_html(dataset, 0)).text if "could not be read" in text]
    assert said.endswith(" 2 records could not be read: scripts.records verify names damage.")
    assert {12: "at least 20 clips; 10 were measured.", 25: "23 of 25 clips were measured"}[count] in said


def test_doubtful_clips_come_first(tmp_path: Path) -> None:
    doubts = {"s1/a": 0.0, "s1/b": 0.5, "s1/c": 0.97, "s1/d": 0.49, "s1/e": 0.97}
    clips = [
        dataclasses.replace(datasets.clip(name, 10), doubt=doubt, doubt_cause=datasets.CAUSE if doubt >= 0.5 else "")
        for name, doubt in doubts.items()
    ]
    found = pages.check(_html(datasets.write_dataset(tmp_path, {"train": [clips]})))
    assert found.text[found.text.index("clips in doubt") + 1] == "3"
    assert found.text.index("In doubt") < found.text.index("Splits")
    listed = found.text[found.text.index("Clips to look at first") :]
    rows = [listed[listed.index(name) : listed.index(name) + 4] for name in ("s1/c", "s1/e", "s1/b")]
    assert [row[2:] for row in rows] == [["97", datasets.CAUSE], ["97", datasets.CAUSE], ["50", datasets.CAUSE]]
    assert [listed.index(row[0]) for row in rows] == sorted(listed.index(row[0]) for row in rows)
    assert f"“bin at now” · 10 frames, 9 tracked, in doubt 97%: {datasets.CAUSE}" in listed


def test_the_worst_tracked_clips_are_listed_and_shown(tmp_path: Path) -> None:
    def clip(number: int) -> Clip:
        return dataclasses.replace(
            datasets.clip(f"s1/c{number:02}", 100, seed=number), tracked=np.arange(100) >= 30 - number
        )

    dataset = datasets.write_dataset(tmp_path, {"train": [[clip(number) for number in range(40)]]})
    found = pages.check(_html(dataset))
    listed = found.text[found.text.index("Worst tracked clips") :]
    assert listed[7:13] == ["s1/c00", "train", "70", "100", "70.00", "bin at now"]
    assert [text for text in listed if text.startswith("and ")] == ["and 10 more"]
    assert "“bin at now” · 100 frames, 70 tracked; one frame of 2 is shown" in listed


def test_rejects_and_runs(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path, {"train": [[datasets.clip("s1/a", 9)]]})
    dataset.manifest["rejected"] = {"crashed": 1, "no_face": 1200}
    found = pages.check(_html(dataset))
    bars = found.text.index("Clips rejected, by reason")
    assert found.text[bars + 1 : bars + 5] == ["no_face", "1,200", "crashed", "1"]
    assert "rejected.csv is missing, so clips and details are unknown." in found.text
    assert "conversion.json is missing, so nothing is known of them." in found.text
    rows = [f"s1/n{n},s1/n{n}.mp4,no_face,no face in {n}\n" for n in range(1200)]
    (tmp_path / "rejected.csv").write_text(
        "id,source,reason,detail\n" + "".join(rows) + "s1/x,s1/x.mp4,crashed,twice\n"
    )
    runs = [{"ended": f"killed {n}", "flags": {"workers": n}} for n in range(6)]
    (tmp_path / "conversion.json").write_text(json.dumps({"runs": runs}))
    found = pages.check(_html(dataset))
    assert {"no face in 7", "twice", "and 1,192 more"} <= set(found.text)
    assert "no face in 8" not in found.text
    ended = found.text.index("ended")
    assert found.text[ended - 4 : ended + 10] == [
        *("run 3", "run 4", "run 5", "run 6", "ended", "killed 2", "killed 3", "killed 4", "killed 5"),
        *("flags.workers", "2", "3", "4", "5"),
    ]


def test_what_users_write_is_never_markup(tmp_path: Path) -> None:
    clip = dataclasses.replace(datasets.clip("s1/a", 9), id=EVIL, speaker=EVIL, text=EVIL)
    dataset = datasets.write_dataset(tmp_path, {"train": [[clip]]})
    dataset.manifest["conversion"][EVIL] = EVIL
    dataset.manifest["rejected"] = {EVIL: 1}
    quoted = '"' + EVIL.replace('"', '""') + '"'
    (tmp_path / "rejected.csv").write_text("id,source,reason,detail\n" + ",".join([quoted] * 4))
    (tmp_path / "conversion.json").write_text(json.dumps({"runs": [{EVIL: EVIL}]}))
    found = pages.check(_html(dataset))
    # speaker; worst: id, text, title; reason; 4 of the reject; title; 2 settings; 2 of the run
    assert found.text.count(SEEN) == 14
    assert f"“{SEEN}” · 9 frames, 8 tracked" in found.text


def test_the_page_stays_small(tmp_path: Path) -> None:
    clips = [
        dataclasses.replace(datasets.clip(f"s{n}/{'x' * 400}", 9), text=" ".join(f"w{n}x{k}" for k in range(20)))
        for n in range(600)
    ]
    dataset = datasets.write_dataset(tmp_path, {"train": [clips]})
    assert len(_html(dataset, 12)) < 500_000


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path, {"train": [[]]})
    found = pages.check(_html(dataset, 12))
    assert found.pictures() == []
    assert {"There are no words.", "There are no clips.", "Clips: there are none."} <= set(found.text)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path, {"train": [[datasets.clip("s1/a", 9)]]})
    with dataset.shards[0].open("r+b") as file:
        file.seek(500)
        file.write(b"?")
    with pytest.raises(DataError, match=f"{dataset.shards[0]} offset 0: the record is damaged"):
        _html(dataset)
