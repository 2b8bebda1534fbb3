"""Videos of all kinds in one conversion: two faces, none, turned ones, sound alone, cut files."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.records import directory
from pipeline.synthetic.corpus import SyntheticConfig, render
from tests import conversions, datasets, videos


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A drawn face that speaks: uint8 [F, 224, 280]."""
    root = tmp_path_factory.mktemp("face")
    (clip,) = render(root, SyntheticConfig(clips=1, speakers=1, width=280, height=224, word_seconds=0.2))
    return videos.read(clip).luma[:30]


def write_mpeg(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg1video", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.rate, frame.time_base = 16000, Fraction(1, 16000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def motley(face: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face in videos of all kinds, sound and broken."""
    root = tmp_path_factory.mktemp("motley") / "corpus"
    (root / "s1").mkdir(parents=True)
    at = [n / 25 for n in range(len(face))]
    flat = np.full_like(face[0], 128)
    small = np.pad(face[:, ::2, ::2], ((0, 0), (56, 56), (0, 0)), mode="edge")

    def film(name: str, frames: np.ndarray, stamps: list[float] = at, **how: Any) -> None:
        height, width = frames.shape[1:]
        videos.write_timed(root / f"s1/{name}.mp4", stamps, size=(width, height), pictures=list(frames), **how)

    film("sound", face)
    film("two_faces", np.concatenate([face, small], axis=2))
    film("turned", np.rot90(face, k=-1, axes=(1, 2)).copy(), rotation=90)
    film("uneven", face[[*range(0, 10), *range(10, 30, 2)]], [*at[:10], *at[10::2]])
    film("blinks", np.stack([flat if 10 <= n < 14 else frame for n, frame in enumerate(face)]))
    film("leaves", np.stack([flat if 10 <= n < 20 else frame for n, frame in enumerate(face)]))
    film("nobody", np.stack([flat] * 30))
    film("cut", face, options={"movflags": "faststart"})
    (root / "s1/cut.mp4").write_bytes((data := (root / "s1/cut.mp4").read_bytes())[: len(data) * 2 // 3])
    write_mpeg(root / "s1/mpeg_1.mp4", face)
    write_sound(root / "s1/radio.mp4")
    (root / "s1/empty.mp4").touch()
    (root / "s1/letter.mp4").write_text("Dear reader,\n" * 100)
    for path in root.glob("s1/*"):
        datasets.write_alignment(root / "alignments/s1" / f"{path.stem}.align")
    return root


def test_videos_of_all_kinds(motley: Path, face: np.ndarray, tmp_path: Path) -> None:
    conversions.run(motley, tmp_path / "out", conversions.FACES, max_reject_fraction=0.6, workers=2)
    assert {name.removeprefix("s1/"): row["reason"] for name, row in conversions.rejects(tmp_path / "out").items()} == {
        "cut": "truncated",
        "empty": "unreadable",
        "leaves": "face_lost",
        "letter": "unreadable",
        "nobody": "no_face",
        "radio": "no_video",
    }
    assert conversions.rejects(tmp_path / "out")["s1/leaves"]["detail"].startswith("no face in frames 10 to 19 of 30")
    opened = directory.open_dataset(tmp_path / "out")
    clips = {name: directory.read_record(opened, n) for n, name in enumerate(opened.index.id)}
    sound = clips.pop("s1/sound")
    assert sound.tracked.all()
    assert sound.frames.shape == (30, 112, 112)
    assert set(clips) == {f"s1/{name}" for name in ("two_faces", "turned", "uneven", "blinks", "mpeg_1")}
    for name, clip in clips.items():
        seen = [n for n in range(len(clip.tracked)) if clip.tracked[n] and (name != "s1/uneven" or n < 10)]
        apart = np.abs(clip.frames[seen].astype(int) - sound.frames[seen])
        assert apart.mean() < 5, name  # the same mouth, in the same place
    assert np.flatnonzero(~clips["s1/blinks"].tracked).tolist() == [10, 11, 12, 13]
    assert int(opened.index.tracked[opened.index.id == "s1/blinks"][0]) == 26
