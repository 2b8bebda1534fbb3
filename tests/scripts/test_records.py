from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline import shards
from pipeline.shards import DatasetDir
from tests import datasets
from tests.scripts import commands


def test_a_dataset_can_be_looked_into(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    root, picture = tiny("raw").root, tmp_path / "p.png"
    stats, verified = commands.run(["records", "stats", f"--data={root}"], ["records", "verify", f"--data={root}"])
    shown, printed = commands.run(
        ["records", "show", f"--data={root}", "--id=s2/c05"],
        ["records", "preview", f"--data={root}", "--clips=2", f"--output={picture}"],
    )
    assert "records         15 in 4 shards" in stats
    assert "4 shards, 15 records, all as written" in verified
    frames = shards.read_record(tiny("raw"), 5).frames
    assert [line.split(None, 1) for line in shown.splitlines()] == [
        ["id", "s2/c05"],
        ["speaker", "s2"],
        ["text", "bin at now"],
        ["source", "s2/c05.mp4"],
        ["record", f"tiny-train.tfrecord-00001-of-00003 offset 0, {tiny('raw').index.length[5]:,} bytes"],
        ["frames", f"15 at 25 fps, uint8 {frames.min()} to {frames.max()}"],
        ["tracked", "14 of 15"],
        ["bin", "frames 1 to 3"],
        ["at", "frames 4 to 7"],
        ["now", "frames 8 to 9"],
    ]
    assert printed.startswith(f"{picture}: s")
    with Image.open(picture) as image:
        assert image.width == 15 * 84


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


def test_mistakes_are_one_line(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    root = tiny("raw").root
    commands.mistakes(
        (
            ["records", "stats", f"--data={tmp_path / 'none'}"],
            [tmp_path / "none", "no such directory", "scripts.convert"],
        ),
        (["records", "verify", f"--data={tmp_path}"], [tmp_path, "no manifest.json"]),
        (["records", "show", f"--data={root}", "--id=s9/lost"], ["--id", "s9/lost", "ids look like s0/c00"]),
        (["records", "preview", f"--data={root}", f"--output={tmp_path / 'p.docx'}"], ["--output", "p.docx"]),
    )
