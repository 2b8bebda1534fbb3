"""Crops that are taken from an earlier dataset: the bytes are those of a conversion from scratch."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.conversion import shard
from pipeline.conversion.config import ConvertConfig
from pipeline.conversion.job import Progress, convert
from pipeline.conversion.reuse import Reuse
from pipeline.conversion.run_log import CONVERSION
from pipeline.conversion.shard import ShardTask, plan_shards
from pipeline.corpora.catalog import Catalog
from pipeline.corpora.source import ClipSource, SpokenWord
from pipeline.corpora.splits import SplitRule, assign
from pipeline.mouth.cropping import Crops
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, provenance, storage
from pipeline.records.codecs import Encoding
from pipeline.records.provenance import Provenance
from pipeline.schema import DataError
from tests import videos

pytestmark = pytest.mark.usefixtures("forked_workers")

CONFIG = ConvertConfig(name="mine", crop=CropSettings(mode="resize"), encoding=Encoding("jpeg"), clips_per_shard=3)
WORDS = (SpokenWord("bin", 0.5, 0.7), SpokenWord("at", 0.7, 0.9))
RULE = SplitRule(val="0", test="0")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of several clips, which begins late, and one of one clip."""
    root = tmp_path_factory.mktemp("recordings")
    videos.write(root / "long.mp4", videos.numbered(75), begins=0.36, sound=(0.0, 3.4))
    videos.write(root / "short.mp4", videos.numbered(30)[5:])
    return root


def sources(root: Path) -> list[ClipSource]:
    parts = [(0.4, 1.4), (1.4, 2.4), (2.4, 3.2)]
    long = [ClipSource(f"long@{n}", root / "long.mp4", span, "bin at", (), "ann") for n, span in enumerate(parts)]
    short = ClipSource("short", root / "short.mp4", None, "bin at", WORDS, "ben")
    whole = ClipSource("whole", root / "long.mp4", None, "bin at", tuple(_later(word) for word in WORDS), "ann")
    return [*long, short, whole]


def _later(word: SpokenWord) -> SpokenWord:
    return dataclasses.replace(word, start=word.start + 0.36, stop=word.stop + 0.36)


def run(
    clips: Iterable[ClipSource], root: Path, output: Path, config: ConvertConfig = CONFIG, **how: object
) -> Progress:
    *_, last = convert(assign(clips, RULE), root, output, config, max_reject_fraction=0.9, **how)
    return last


def content(output: Path) -> dict[str, bytes]:
    """All files but the log, which has dates in it."""
    return {path.name: path.read_bytes() for path in output.iterdir() if path.name != CONVERSION}


@pytest.fixture(scope="module")
def old(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("old") / "old"
    assert run(sources(recordings), recordings, output).converted == 5
    return output


def _corrected(clips: list[ClipSource]) -> list[ClipSource]:
    words = (SpokenWord("now", 0.2, 0.6),)
    return [dataclasses.replace(each, text="now", words=words) if each.id == "short" else each for each in clips]


def _renamed(clips: list[ClipSource]) -> list[ClipSource]:
    return [dataclasses.replace(each, id=f"new/{each.id}", speaker="eve", columns=(("day", "2"),)) for each in clips]


def _added(clips: list[ClipSource]) -> list[ClipSource]:
    return [*clips, dataclasses.replace(clips[0], id="more", span=(0.5, 1.5))]


def _moved(clips: list[ClipSource]) -> list[ClipSource]:
    return [dataclasses.replace(clips[0], span=(0.44, 1.4)), *clips[1:]]


def _unusable(clips: list[ClipSource]) -> list[ClipSource]:
    """Labels that are wrong in ways that need the video, or not."""
    late = (SpokenWord("bin", 5.0, 6.0),)
    cases = [{"text": ""}, {"text": "bin " * 40}, {"words": late}, {"text": "é"}, {"labels_end": 9.0}]
    return [dataclasses.replace(each, **case) for each, case in zip(clips, cases, strict=True)]


@pytest.mark.parametrize(
    ("change", "reused", "rejected"),
    [
        (list, 5, 0),
        (_corrected, 5, 0),
        (_renamed, 5, 0),
        (_added, 5, 0),
        (_moved, 4, 0),
        (lambda clips: clips[1:3], 2, 0),
        (_unusable, 0, 5),
    ],
    ids=["the same", "corrected", "renamed", "one more", "another span", "fewer", "unusable labels"],
)
def test_labels_are_those_of_today_and_bytes_those_of_a_conversion_from_scratch(
    change: Callable[[list[ClipSource]], list[ClipSource]],
    reused: int,
    rejected: int,
    recordings: Path,
    old: Path,
    tmp_path: Path,
) -> None:
    clips = change(sources(recordings))
    if rejected == len(clips):
        for output, how in (("a", {}), ("b", {"reuse": old})):
            with pytest.raises(DataError, match="all 5 clips rejected"):
                run(clips, recordings, tmp_path / output, **how)
        assert (tmp_path / "b/rejected.csv").read_bytes() == (tmp_path / "a/rejected.csv").read_bytes()
        return
    last = run(clips, recordings, tmp_path / "b", reuse=old, workers=2)
    assert (last.reused, last.converted, last.rejected) == (reused, len(clips), 0)
    assert run(clips, recordings, tmp_path / "a").reused == 0
    assert content(tmp_path / "b") == content(tmp_path / "a")
    assert not any(directory.verify(directory.open_dataset(tmp_path / "b")))


def test_a_corpus_that_was_corrected_takes_the_crops_of_the_conversion_that_failed(
    recordings: Path, tmp_path: Path
) -> None:
    """Which is how a first conversion ends where too many clips are rejected."""
    (recordings / "no.mp4").write_text("no video")
    wrong = ClipSource("no", recordings / "no.mp4", None, "bin at", (), "ann")
    failed = tmp_path / "failed"
    with pytest.raises(DataError, match=r"1 of 6 clips rejected .* another --output, and --reuse takes their crops"):
        list(convert(assign([*sources(recordings), wrong], RULE), recordings, failed, CONFIG, max_reject_fraction=0.1))
    clips = _corrected(sources(recordings))
    assert run(clips, recordings, tmp_path / "b", reuse=failed).reused == 5
    assert run(clips, recordings, tmp_path / "a").reused == 0
    assert content(tmp_path / "b") == content(tmp_path / "a")


def _no_crops(frames: Iterator[np.ndarray]) -> list[Crops]:
    raise AssertionError("the video was read")


def test_no_video_is_decoded_for_crops_that_are_there(recordings: Path, old: Path, tmp_path: Path) -> None:
    (task,) = plan_shards(assign(sources(recordings)[2:], RULE), CONFIG)
    (tmp_path / ".progress").mkdir()
    list(shard.convert_shard(recordings, None, CONFIG, _no_crops, tmp_path, task, {}, Reuse(old, CONFIG)))
    assert (tmp_path / task.file("mine")).stat().st_size > 10_000
    more = ShardTask("train", 0, 1, (dataclasses.replace(sources(recordings)[0], span=(1.0, 2.0)),))
    with pytest.raises(AssertionError, match="the video was read"):
        list(shard.convert_shard(recordings, None, CONFIG, _no_crops, tmp_path, more, {}, Reuse(old, CONFIG)))


@pytest.mark.parametrize("same_size", [True, False], ids=["of the same size", "of another size"])
@pytest.mark.slow
def test_another_video_of_the_same_name_is_converted_anew(
    same_size: bool, recordings: Path, old: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(recordings, tmp_path / "recordings")
    other = videos.write(tmp_path / "other.mp4", videos.numbered(60)[20:45]).read_bytes()
    content_before = (root / "short.mp4").read_bytes()
    free = b"\0\0\0\0free"  # a box that players pass by
    if same_size:
        longest = max(len(other), len(content_before)) + 8
        filled = longest - len(other)
        other += filled.to_bytes(4, "big") + free[4:] + bytes(filled - 8)
        filled = longest - len(content_before)
        (root / "short.mp4").write_bytes(content_before + filled.to_bytes(4, "big") + free[4:] + bytes(filled - 8))
        old = tmp_path / "old"
        run(sources(root), root, old)
    (root / "short.mp4").write_bytes(other)
    last = run(sources(root), root, tmp_path / "b", reuse=old)
    assert (last.reused, last.converted) == (4, 5)
    run(sources(root), root, tmp_path / "a")
    assert content(tmp_path / "b") == content(tmp_path / "a")


@pytest.mark.slow
def test_images_of_a_directory_are_a_video_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "talk").mkdir(parents=True)
    for number, picture in enumerate(videos.numbered(12)):
        Image.fromarray(picture).save(root / f"talk/{number}.png")
    clips = [ClipSource("talk", root / "talk", None, "bin", (), "")]
    run(clips, root, tmp_path / "a")
    assert run(clips, root, tmp_path / "b", reuse=tmp_path / "a").reused == 1
    (root / "talk/11.png").rename(root / "talk/99.png")
    assert run(clips, root, tmp_path / "c", reuse=tmp_path / "a").reused == 0


def test_a_damaged_record_is_made_from_its_video(recordings: Path, old: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(old, tmp_path / "old")
    path = damaged / "mine-train.tfrecord-00000-of-00002"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    last = run(sources(recordings), recordings, tmp_path / "b", reuse=damaged)
    assert (last.reused, last.converted) == (4, 5)
    assert content(tmp_path / "b") == content(old)


def _truncated(limit: int) -> ConvertConfig:
    return dataclasses.replace(CONFIG, overlong="truncate", max_frames=limit)


@pytest.mark.parametrize(
    ("before", "now", "reused"),
    [
        (_truncated(40), _truncated(40), 2),
        (_truncated(40), _truncated(45), 1),
        (CONFIG, _truncated(40), 1),
        (_truncated(40), CONFIG, 1),
        (CONFIG, dataclasses.replace(CONFIG, on_gap="split", seed=3, clips_per_shard=1), 2),
    ],
    ids=["as before", "another limit", "a limit", "no limit", "what decides no crops"],
)
@pytest.mark.slow
def test_what_decides_which_frames_are_read(
    before: ConvertConfig, now: ConvertConfig, reused: int, recordings: Path, tmp_path: Path
) -> None:
    clips = sources(recordings)[3:]
    run(clips, recordings, tmp_path / "old", before)
    assert run(clips, recordings, tmp_path / "b", now, reuse=tmp_path / "old").reused == reused
    run(clips, recordings, tmp_path / "a", now)
    assert content(tmp_path / "b") == content(tmp_path / "a")


@pytest.mark.parametrize("overlong", ["reject", "truncate"])
@pytest.mark.slow
def test_a_span_that_reaches_over_the_end_is_measured_whole(overlong: str, recordings: Path, tmp_path: Path) -> None:
    """A clip of 25 frames, since its video ends then, of a span of 27 for which 26 are too few."""
    clip = ClipSource("short", recordings / "short.mp4", (0.0, 1.08), "bin at", WORDS, "ben")
    run([clip, sources(recordings)[0]], recordings, tmp_path / "old")
    now = dataclasses.replace(CONFIG, max_frames=26, overlong=overlong)
    assert Reuse(tmp_path / "old", CONFIG).count([clip], recordings) == 1
    assert run([clip, sources(recordings)[0]], recordings, tmp_path / "b", now, reuse=tmp_path / "old").reused == 1
    run([clip, sources(recordings)[0]], recordings, tmp_path / "a", now)
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_stretches_of_a_split_clip_are_made_anew(talkers: list[np.ndarray], tmp_path: Path) -> None:
    one, other = talkers
    video = videos.write(tmp_path / "cut.mp4", [*one, *other])
    config = ConvertConfig(name="mine", on_gap="split")
    words = (SpokenWord("bin", 0.1, 0.6), SpokenWord("now", 1.2, 1.6))
    clips = [ClipSource("talk", video, None, "bin now", words, "")]
    run(clips, tmp_path, tmp_path / "a", config)
    assert sorted(directory.open_dataset(tmp_path / "a").index.id) == ["talk@0", "talk@25"]
    assert run(clips, tmp_path, tmp_path / "b", config, reuse=tmp_path / "a").reused == 0
    assert content(tmp_path / "b") == content(tmp_path / "a")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fps": 30.0}, "fps was 25.0, is 30.0"),
        ({"encoding": Encoding("jpeg", 80)}, "encoding.quality was 92, is 80"),
        ({"crop": CropSettings(margin=1.8)}, "crop.margin was 1.6, is 1.8, crop.mode was resize, is face"),
    ],
    ids=["frame rate", "encoding", "crop"],
)
def test_other_settings_are_refused(changes: dict[str, object], said: str, old: Path) -> None:
    with pytest.raises(DataError) as raised:
        Reuse(old, dataclasses.replace(CONFIG, **changes))
    assert str(raised.value) == (
        f"--reuse={old}: made with other settings ({said}); give the settings of that dataset, or leave --reuse out"
    )


def test_clips_in_another_split_are_counted(recordings: Path, old: Path) -> None:
    clips = sources(recordings)
    splits = dict(zip((clip.id for clip in clips), ("train", "test", "val", "train", "train"), strict=True))
    changed = [dataclasses.replace(clip, split=splits[clip.id]) for clip in clips]
    assert Reuse(old, CONFIG).moved(Catalog.of(changed)) == 2
    added = [dataclasses.replace(changed[1], id="new")]
    assert Reuse(old, CONFIG).moved(Catalog.of(added)) == 0


def test_datasets_that_do_not_say_what_they_were_made_from_are_refused(old: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(old, tmp_path / "old")
    (copy / provenance.FILE).write_bytes(b"PK")
    with pytest.raises(DataError, match=r"provenance.npz: not the one of this manifest \(its SHA-256 differs\)"):
        Reuse(copy, CONFIG)
    (copy / provenance.FILE).unlink()
    with pytest.raises(DataError, match=r"provenance.npz: missing; restore it"):
        Reuse(copy, CONFIG)
    manifest = json.loads((copy / directory.MANIFEST).read_text())
    del manifest["provenance"]
    storage.write_json(copy / directory.MANIFEST, manifest)
    with pytest.raises(DataError, match="does not say which video each clip shows, as older versions made it"):
        Reuse(copy, CONFIG)


def test_a_dataset_notes_what_each_record_was_made_from(recordings: Path, old: Path) -> None:
    dataset = directory.open_dataset(old)
    table = provenance.load(dataset)
    rows = {dataset.index.id[record]: table.row(record) for record in range(len(dataset.index))}
    size, digest = (recordings / "short.mp4").stat().st_size, storage.sha256(recordings / "short.mp4")
    assert rows["short"] == Provenance("short.mp4", size, digest, None, 0.0, False, True)
    assert rows["long@1"].span == (1.4, 2.4)
    assert (rows["whole"].begins, rows["long@1"].begins) == (0.36, 1.4)
    assert rows["whole"].size == (recordings / "long.mp4").stat().st_size
