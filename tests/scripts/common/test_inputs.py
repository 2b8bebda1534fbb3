import io
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.schema import ClipError, DataError, Reason
from scripts.common import inputs
from tests import datasets, videos


def test_a_directory_is_its_videos_in_natural_order(tmp_path: Path) -> None:
    for name in ("s10/a.mp4", "s2/b10.MOV", "s2/b9.avi", "c.mp4", ".hidden/d.mp4", "s2/.e.mp4", "s2/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "s3.mp4").mkdir()
    got = inputs.listed(["x.mp4", str(tmp_path), "-"])
    assert got == ["x.mp4", *(str(tmp_path / name) for name in ("c.mp4", "s2/b9.avi", "s2/b10.MOV", "s10/a.mp4")), "-"]


def test_a_directory_of_images_is_one_video(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert inputs.listed([str(tmp_path)]) == [str(tmp_path)]


def test_directories_of_images_below_a_directory_are_videos_of_it(tmp_path: Path) -> None:
    for name in ("b10/1.png", "b10/2.png", "b9/1.jpg", "c.mp4", "d/e.mp4", "d/poster.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    want = ["b9", "b10", "c.mp4", "d/e.mp4"]
    assert inputs.listed([str(tmp_path)]) == [str(tmp_path / name) for name in want]


def test_a_directory_of_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: holds neither videos nor images"):
        inputs.listed([str(tmp_path)])


def test_the_standard_input_is_kept_as_long_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.write_video(tmp_path / "a.mp4", datasets.pixels(7, seed=0, side=64))
    for content, problem in (((tmp_path / "a.mp4").read_bytes(), None), (b"no video", "the recording: not a video")):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
        if problem:
            with pytest.raises(ClipError, match=problem), inputs.at_hand("-", 1.0) as path:
                videos.read(path)
        else:
            with inputs.at_hand("-", 1.0) as path:
                assert len(videos.read(path).luma) == 7
        assert not path.exists()


def test_a_file_is_at_hand_where_it_is(tmp_path: Path) -> None:
    with inputs.at_hand(str(tmp_path / "a.mp4"), 1.0) as path:
        assert path == tmp_path / "a.mp4"


def test_a_number_is_a_camera_unless_there_is_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "7").touch()
    assert [inputs.is_camera(name) for name in ("0", "12", "7", "a0", "-1", "0.mp4")] == [True, True] + 4 * [False]


def test_a_camera_that_is_not_there_is_refused() -> None:
    missing = inputs.at_hand("997", 1.0)
    with pytest.raises(ClipError, match="/dev/video997: no camera that can be read") as error:
        missing.__enter__()
    assert error.value.reason is Reason.UNREADABLE


def test_a_recording_holds_so_many_seconds_of_what_came(tmp_path: Path) -> None:
    """A file stands in for a camera: raw pictures whose clock began long ago."""
    with av.open(str(tmp_path / "camera"), "w", format="nut") as container:
        stream = container.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuyv422"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full([48, 64, 3], 5 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 10 * 86_400 * 365 + number, Fraction(1, 10)
            container.mux(stream.encode(frame))
    inputs.record(str(tmp_path / "camera"), tmp_path / "recorded", 1.5, "nut")
    seen = videos.read(tmp_path / "recorded", fps=10.0)
    assert seen.times[0] == 0
    np.testing.assert_allclose(seen.luma.mean((1, 2)), 5 * np.arange(15), atol=2)
