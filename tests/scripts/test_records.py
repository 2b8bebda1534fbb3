import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline.records import directory
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from tests import datasets
from tests.scripts import commands, pages


def test_a_dataset_can_be_looked_into(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    root, picture = tiny("raw").root, tmp_path / "p.png"
    ends = commands.in_turn(
        "records",
        ["stats", f"--data={root}"],
        ["verify", f"--data={root}"],
        ["show", f"--data={root}", "--id=s2/c05"],
        ["preview", f"--data={root}", "--clips=2", "--augment", "--flip=1", f"--output={picture}"],
    )
    assert [end for end, _ in ends] == [None] * 4
    stats, verified, shown, printed = (printed for _, printed in ends)
    assert "records         15 in 4 shards" in stats
    assert "4 shards, 15 records, all sound" in verified
    frames = directory.read_record(tiny("raw"), 5).frames
    assert [line.split(None, 1) for line in shown.splitlines()] == [
        ["id", "s2/c05"],
        ["speaker", "s2"],
        ["text", "bin at now"],
        ["source", "s2/c05.mp4"],
        ["record", f"tiny-train.tfrecord-00001-of-00003 offset 0, {tiny('raw').index.length[5]:,} bytes"],
        ["frames", f"15 at 25 fps, uint8 {frames.min()} to {frames.max()}"],
        ["tracked", "14 of 15"],
        ["doubt", f"0.50 {datasets.CAUSE}"],
        ["bin", "frames 1 to 3"],
        ["at", "frames 4 to 7"],
        ["now", "frames 8 to 9"],
    ]
    assert printed.startswith(f"{picture}: s")
    assert printed.count("/c") == 2 * (1 + 3)  # each clip and its variants
    with Image.open(picture) as image:
        assert image.width == 15 * 84


def test_columns_of_the_table_are_shown_counted_and_compared(tmp_path: Path) -> None:
    columns = [(("room", "studio 1"), ("note", "a\nb")), (), (("room", "hall"),)]
    clips = [dataclasses.replace(datasets.clip(f"s1/c{n}", 9), columns=own) for n, own in enumerate(columns)]
    data = [f"--data={datasets.write_dataset(tmp_path / 'data', {'train': [clips]}).root}"]
    datasets.write_dataset(tmp_path / "other", {"train": [[*clips[:2], datasets.clip("s1/c2", 9)]]})
    page = tmp_path / "report.html"
    ends = commands.in_turn(
        "records",
        ["show", *data],
        ["stats", *data],
        ["report", *data, f"--output={page}"],
        ["diff", str(tmp_path / "data"), str(tmp_path / "other")],
    )
    assert [end for end, _ in ends] == [None, None, None, 1]
    shown, stats, _, differing = (printed for _, printed in ends)
    assert [line.split(None, 2) for line in shown.splitlines() if line.startswith("column")] == [
        ["column", "room", "studio 1"],
        ["column", "note", "'a\\nb'"],
    ]
    assert "column room     2 clips, 2 values: studio 1 1, hall 1\n" in stats
    assert "differ in columns: 1\n  s1/c2: room=hall -> none\n" in differing
    assert "Columns of the table" in pages.check(page.read_text()).text


def test_shards_of_another_program_are_indexed_and_an_older_dataset_upgraded(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 9 + n, seed=n) for n in range(3)]
    dataset = datasets.write_dataset(tmp_path / "bare", {"train": [clips[:2]], "val": [clips[2:]]}, Encoding("jpeg"))
    for path in dataset.root.iterdir():
        if path not in dataset.shards:
            path.unlink()
    shutil.copytree(datasets.GOLDEN / "dataset", tmp_path / "old")
    bare, old = (f"--data={tmp_path / name}" for name in ("bare", "old"))
    cases = (["stats", bare], ["index", bare], ["stats", bare], ["stats", old], ["upgrade", old], ["verify", old])
    ends = commands.in_turn("records", *cases)
    assert f"scripts.records index {bare}" in ends[0][0]
    assert ends[1] == (None, f"{tmp_path / 'bare'}: 2 shards, 3 records of splits train, val\n")
    assert "records         3 in 2 shards" in ends[2][1]
    assert f"scripts.records upgrade {old}" in ends[3][0]
    assert [end for end, _ in ends[4:]] == [None, None]
    assert "7 records of splits train, val" in ends[4][1]
    assert "7 records, all sound" in ends[5][1]


def test_damage_is_found(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path, {"train": [[datasets.clip("s1/a", 9), datasets.clip("s1/b", 9)]]})
    with dataset.shards[0].open("r+b") as file:
        file.seek(int(dataset.index.offset[1]) + 500)
        file.write(b"?")
    process = commands.start("records", "verify", f"--data={tmp_path}")
    stdout, stderr = process.communicate()
    assert process.returncode == 1
    assert f"{dataset.shards[0]} offset {dataset.index.offset[1]}: the record is damaged" in stdout
    assert stderr.splitlines()[-1].startswith(f"error: {tmp_path}: 2 problems")
    assert "Traceback" not in stderr


def test_a_report_stands_beside_the_dataset_and_names_its_origin(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s1/c{n}", 9, seed=n) for n in range(3)]
    data = datasets.write_dataset(tmp_path / "mine", {"train": [clips]})
    output = tmp_path / "mine-report.html"
    report, picture = [f"--data={data.root}", "--clips=2"], tmp_path / "mine-preview.png"
    ends = commands.in_turn("records", ["report", *report], ["preview", *report], ["verify", report[0]])
    assert ends[0] == (None, f"{output}: 0.1 MB; open it in a browser\n")
    assert ends[1][1].startswith(f"{picture}: s1/")
    assert ends[2][0] is None
    assert {path.name for path in tmp_path.iterdir()} == {"mine", output.name, picture.name}
    text = " ".join(pages.check(output.read_text(encoding="utf-8")).text)
    assert f"data {data.root} fingerprint {data.fingerprint[:16]} date 20" in text
    assert f" UTC command python -m scripts.records report --data={data.root} --clips=2 " in text


def test_what_differs_is_said(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    clips = [datasets.clip(f"s{n}/c{n:02}", 9, seed=n) for n in range(9)]
    brighter = [dataclasses.replace(clip, frames=clip.frames + 2) for clip in clips]
    a = datasets.write_dataset(tmp_path / "a", {"train": [[*clips, datasets.clip("s9/gone", 9)]]}).root
    b = datasets.write_dataset(tmp_path / "b", {"train": [[*brighter[1:]], [clips[0]]]}, Encoding(quality=50)).root
    c = datasets.write_dataset(tmp_path / "c", {"train": [[*clips, datasets.clip("s9/gone", 9)]]}, Encoding(quality=91))
    data = str(tiny("raw").root)
    (differ, differing), (_, named), (_, otherwise), same = commands.in_turn(
        "records",
        ["diff", str(a), str(b)],
        ["diff", str(a), str(b), "--all", "--clips=3"],
        ["diff", str(a), str(c.root)],
        ["diff", data, data],
    )
    assert (differ, same) == (1, (0, "15 clips in both; no difference\n"))
    assert otherwise.splitlines()[-1] == "10 clips in both; different settings: 1"
    assert differing.splitlines() == [
        "setting           A  ->  B",
        "encoding.quality  92  ->  50",
        "only in A: 1",
        "  s9/gone",
        "differ in bytes: 8",
        *(f"  s{n}/c{n:02}" for n in range(1, 6)),
        "  and 3 more (--all names them)",
        "opened: 8 of them",
        "  8 differ in pixels, by 2 levels of 255 in the mean",
        "9 clips in both; different clips: 8; clips in one alone: 1; different settings: 1",
    ]
    assert named.splitlines()[4:] == [
        "differ in bytes: 8",
        *(f"  s{n}/c{n:02}" for n in range(1, 9)),
        "opened: 3 of them",
        "  3 differ in pixels, by 2 levels of 255 in the mean",
        "9 clips in both; different clips: 8; clips in one alone: 1; different settings: 1",
    ]


def test_mistakes_are_one_line(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    root, lost = tiny("raw").root, tmp_path / "lost"
    empty = datasets.write_dataset(tmp_path / "empty", {"train": [[]]}).root
    data = f"--data={root}"
    commands.mistakes_in_turn(
        "records",
        (["stats", f"--data={lost}"], [lost, "no such directory", "scripts.convert"]),
        (["verify", f"--data={tmp_path}"], [tmp_path, "no manifest.json"]),
        (["show", data, "--id=s9/lost"], ["--id", "s9/lost", "ids look like s0/c00"]),
        (["preview", data, f"--output={tmp_path / 'p.docx'}"], ["--output", "p.docx"]),
        (["preview", data, f"--output={tmp_path / 'p.mpg'}"], ["--output", "p.mpg"]),
        (["preview", data, "--augment", f"--output={tmp_path / 'p.png'}"], ["--augment", "--flip"]),
        (["preview", data, f"--output={lost}/p.png"], ["--output", f"directory {lost};"]),
        (["report", data, f"--output={lost}/r.html"], ["--output", f"directory {lost};"]),
        (["report", data, f"--output={tmp_path / 'r.png'}"], ["--output", "r.png", "report.html"]),
        (["report", data, f"--output={tmp_path}"], ["--output", tmp_path / "report.html"]),
        (["show", f"--data={empty}"], [empty, "holds no clips"]),
        (["preview", f"--data={empty}", "--id=a"], [empty, "holds no clips"]),
        (["stats"], ["--data"]),
        (["stat", data], ["stats, verify, show, preview, report, index, upgrade, diff", "got stat"]),
        (["diff", str(root)], ["two dataset directories", f"got {root}"]),
        (["diff", str(root), str(root), data], ["two dataset directories and no --data"]),
        (["diff", str(root), str(lost)], [lost, "no such directory"]),
    )
    assert list(tmp_path.iterdir()) == [empty]
