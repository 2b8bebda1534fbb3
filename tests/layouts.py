"""Renders the synthetic faces in the layouts of LRW, LRS3, LRS2 and a folder; writes empty clips."""

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.corpora import folder, lrw
from pipeline.corpora.splits import SPLITS
from pipeline.synthetic.corpus import (
    SyntheticConfig,
    Utterance,
    make_scene,
    render_frames,
    utterances,
    write_text,
    write_video,
)
from pipeline.synthetic.head import Pose
from pipeline.synthetic.lips import MOUTH_V, UNIT
from pipeline.synthetic.visemes import SILENCE, Timeline

LRW_SIDE = 256  # pixels
LRW_SCALE = 0.9  # of the head, whose mouth is then 50 pixels wide
LRW_WORD_SECONDS = 0.3
LRW_SLOT = 3  # the word (at, by, in or with; silence is word 0) with 29 frames around it


def write_clip(root: Path, name: str, label: str | None) -> None:
    """Writes an empty video such as `main/633/00011.mp4` and its label file `.txt`, unless that is None."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / f"{name}.mp4").touch()
    if label is not None:
        (root / f"{name}.txt").write_bytes(label.encode())


def render_lrw(root: Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders `AT/train/AT_00001.mp4` and its `.txt`: 29 frames with a word in the middle, the mouth in `lrw.BOX`.

    The clips go to the splits in turn. Size, rate and `word_seconds` are LRW's, not `config`'s. Yields each video.
    """
    config = dataclasses.replace(config, width=LRW_SIDE, height=LRW_SIDE, fps=lrw.FPS, word_seconds=LRW_WORD_SECONDS)
    x, y = (LRW_SIDE * (lrw.BOX[side] + lrw.BOX[side + 2]) / 2 for side in (0, 1))
    pose = Pose(x, y - MOUTH_V * UNIT * LRW_SCALE, LRW_SCALE, 0.0)
    for number, clip in enumerate(utterances(config), start=1):
        scene = make_scene(config, clip)
        word, start, stop = scene.timeline.words[LRW_SLOT]
        first = (start + stop - lrw.FRAMES) // 2
        name = word.upper()
        video = root / name / SPLITS[number % 3] / f"{name}_{number:05}.mp4"
        write_text(video.with_suffix(".txt"), _lrw_label((stop - start) / lrw.FPS))
        write_video(video, itertools.islice(render_frames(scene, config, pose), first, first + lrw.FRAMES), config)
        yield video


def _lrw_label(duration: float) -> str:
    lines = (
        "Disk reference: 1",
        "Channel: drawn",
        "Program start: 2016-01-01 00:00:00 +0000",
        "Clip start: 0.00 seconds",
    )
    return "\n".join([*lines, f"Duration: {duration:.2f} seconds", ""])


def render_lrs(root: Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders `trainval/t1/00001.mp4` and its `.txt` with word times; the last speaker's clips go to `test/`.

    Yields each video.
    """
    for number, clip in enumerate(utterances(config), start=1):
        part = "test" if clip.speaker == config.speakers else "trainval"
        video = root / part / f"t{clip.speaker}" / f"{number:05}.mp4"
        timeline = _render(video, config, clip)
        write_text(video.with_suffix(".txt"), _lrs_label(timeline, config.fps, timed=True))
        yield video


def render_lrs2(root: Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders `pretrain/t1/00001.mp4` and its `.txt` with word times; the other speakers' clips go to `main/`.

    Those have no word times; `train.txt`, `val.txt` and `test.txt` list them, one speaker per split in turn. Yields
    each video.
    """
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, clip in enumerate(utterances(config), start=1):
        name, pretrain = f"t{clip.speaker}/{number:05}", clip.speaker == 1
        video = root / ("pretrain" if pretrain else "main") / f"{name}.mp4"
        timeline = _render(video, config, clip)
        write_text(video.with_suffix(".txt"), _lrs_label(timeline, config.fps, timed=pretrain))
        if not pretrain:
            split = SPLITS[(clip.speaker - 2) % 3]
            lists[split].append(f"{name} NF" if split == "test" else name)
        yield video
    for split, names in lists.items():
        write_text(root / f"{split}.txt", "\n".join([*names, ""]))


def _lrs_label(timeline: Timeline, fps: int, timed: bool) -> str:
    words = [word for word in timeline.words if word[0] != SILENCE]
    rows = [f"{word.upper()} {start / fps:.2f} {stop / fps:.2f} 5.0" for word, start, stop in words]
    table = ["", "WORD START END ASDSCORE", *rows] if timed else []
    text = " ".join(word.upper() for word, _, _ in words)
    return "\n".join([f"Text:  {text}", "Conf:  4", *table, ""])


def render_folder(root: Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders `s1/bbaf2n.mp4` and so on, and `clips.csv` with two clips per video: its first and last three words.

    Yields each video.
    """
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("video", "text", "speaker", "split", "start", "end"))
    for clip in utterances(config):
        name = Path(f"s{clip.speaker}") / f"{clip.code}.mp4"
        words = _render(root / name, config, clip).words
        for part in (words[1:4], words[4:7]):
            text = " ".join(word for word, _, _ in part)
            rows.writerow([name, text, f"s{clip.speaker}", "", part[0][1] / config.fps, part[-1][2] / config.fps])
        yield root / name
    write_text(root / folder.TABLE, table.getvalue())


def render_videos(root: Path, config: SyntheticConfig, names: Iterable[str]) -> None:
    """Renders a video a name, without labels."""
    for name, clip in zip(names, utterances(config), strict=True):
        _render(root / name, config, clip)


def _render(video: Path, config: SyntheticConfig, clip: Utterance) -> Timeline:
    scene = make_scene(config, clip)
    write_video(video, render_frames(scene, config), config)
    return scene.timeline
