"""Real recordings that were read wrongly once: `recordings/failing/media` beside the real clips of GRID."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.schema import ClipError
from pipeline.video import decode
from tests import videos


@pytest.fixture(scope="module")
def media(grid_clips: Path) -> Path:
    folder = grid_clips.parent / "recordings" / "failing" / "media"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    return folder


@pytest.mark.parametrize(
    ("name", "shape", "begins"),
    [
        ("audio_longer.mkv", (75, 288, 360), 0.0),
        ("bframes.avi", (75, 288, 360), 0.0),
        ("concat.ts", (75, 288, 360), 0.0),
        ("hflipmeta.mp4", (75, 288, 360), 0.0),
        ("interlaced.mpg", (75, 512, 512), 0.0),
        ("late_video.mkv", (65, 288, 360), 0.4),
        ("late_video.mp4", (65, 288, 360), 0.4),
        ("m1.mpg", (750, 128, 160), 0.0),
        ("m2.mpg", (750, 128, 160), 0.0),
        ("pal16x9.mp4", (75, 576, 1024), 0.0),
        ("raw.h264", (600, 300, 400), 0.0),
        ("sar.mp4", (75, 288, 360), 0.0),
        ("sar_64_45.mpg", (75, 576, 1024), 0.0),
        ("start05.mkv", (75, 288, 360), 0.0),
        ("startpts2s.mkv", (75, 288, 360), 0.0),
        ("still_end.mkv", (51, 288, 360), 0.0),
        ("two_streams.mkv", (75, 288, 360), 0.0),
        ("vflipmeta.mp4", (75, 288, 360), 0.0),
    ],
)
def test_all_pictures_at_their_times(media: Path, name: str, shape: tuple[int, int, int], begins: float) -> None:
    with decode.opened(media / name) as video:
        shapes = [frame.shape for frame in video]
    assert (len(shapes), *shapes[0]) == shape
    assert video.begins == pytest.approx(begins, abs=1e-3)
    np.testing.assert_allclose(video.times, begins + np.arange(len(shapes)) / 25, atol=1.1e-3)


@pytest.mark.parametrize("name", ["m1.mpg", "m2.mpg"])
def test_spans_of_program_streams(media: Path, name: str) -> None:
    for first, stop in ((0, 750), (0, 25), (276, 300), (590, 640), (700, 750)):
        seen = videos.read(media / name, span=(first / 25, stop / 25))
        assert videos.numbers(seen.luma) == list(range(first, stop))


def test_a_span_of_a_raw_stream(media: Path) -> None:
    whole = videos.read(media / "raw.h264").luma
    np.testing.assert_array_equal(videos.read(media / "raw.h264", span=(11.0, 13.0)).luma, whole[275:325])


@pytest.mark.parametrize("span", [None, (1.0, 2.0)])
def test_a_missing_front(media: Path, span: tuple[float, float] | None) -> None:
    with pytest.raises(ClipError, match=r"^truncated: .*first picture at 4.640 s"):
        videos.read(media / "copy_cut.mp4", span=span)
    assert len(videos.read(media / "copy_cut.mp4", span=(5.0, 6.0)).luma) == 25


def test_mirrored_pictures_are_mirrored_back(media: Path) -> None:
    """The coded pictures are the same in both, but for the axis."""
    rows, columns = (videos.read(media / name).luma[30].astype(int) for name in ("vflipmeta.mp4", "hflipmeta.mp4"))
    assert np.abs(rows - columns).mean() < 2
