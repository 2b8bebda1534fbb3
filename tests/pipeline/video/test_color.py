"""Luma of every depth and range, and colors."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation

from pipeline.video import decode
from pipeline.video.color import Converter
from tests import videos


def test_luma_has_full_range(tmp_path: Path) -> None:
    videos.write_timed(tmp_path / "a.mp4", [0, 0.04], pictures=[np.full((32, 48), v, np.uint8) for v in (0, 255)])
    np.testing.assert_allclose(videos.read(tmp_path / "a.mp4").luma.mean(axis=(1, 2)), [0, 255], atol=1)


def test_color_is_rgb(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *videos.SIZE, "yuv420p"
        red = av.VideoFrame.from_ndarray(np.full((*videos.SIZE[::-1], 3), (200, 40, 30), np.uint8), format="rgb24")
        container.mux(stream.encode(red))
        container.mux(stream.encode(None))
    (seen,) = decode.read_color(tmp_path / "a.mp4")
    np.testing.assert_allclose(seen.mean((0, 1)), (200, 40, 30), atol=4)


@pytest.mark.parametrize("size", [(48, 32), (50, 34)])
@pytest.mark.parametrize("format", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj444p", "gbrp"])
def test_luma_equals_that_of_libswscale(tmp_path: Path, format: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264rgb" if format == "gbrp" else "libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = "rgb24" if format == "gbrp" else format
        for _ in range(3):
            picture = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    flags = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    with av.open(str(tmp_path / "a.mkv")) as container:
        frames = list(container.decode(video=0))
        assert {frame.format.name for frame in frames} == {format}
        gray = [f.reformat(format="gray", dst_color_range="JPEG", interpolation=flags).to_ndarray() for f in frames]
    np.testing.assert_array_equal(videos.read(tmp_path / "a.mkv").luma, gray)


def plane(format: str, values: np.ndarray, color_range: int) -> av.VideoFrame:
    """A frame whose luma is `values` [H, W], and whose chroma is gray."""
    frame = av.VideoFrame(values.shape[1], values.shape[0], format)
    depth = frame.format.components[0].bits
    for number, part in enumerate(frame.planes):
        row = np.full((part.height, part.line_size // values.itemsize), 1 << depth - 1, values.dtype)
        if number == 0:
            row[:, : values.shape[1]] = values
        part.update(row.tobytes())
    frame.color_range = color_range
    return frame


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("format", "depth"),
    [
        ("yuv420p", 8),
        ("yuv422p", 8),
        ("yuv440p", 8),
        ("yuv411p", 8),
        ("yuva420p", 8),
        ("nv12", 8),
        ("yuv420p10le", 10),
        ("yuv422p10le", 10),
        ("yuv444p12le", 12),
        ("yuv420p16le", 16),
    ],
)
def test_luma_of_every_depth_is_stretched_and_rounded(format: str, depth: int, full: bool) -> None:
    values = np.linspace(0, (1 << depth) - 1, 1000).astype(np.uint8 if depth == 8 else np.uint16)
    black, white = (0, (1 << depth) - 1) if full else (16 << depth - 8, 235 << depth - 8)
    exact = ((values.astype(float) - black) * 255 / (white - black)).clip(0, 255)
    (got, *_) = Converter(None).gray(plane(format, np.tile(values, (4, 1)), 2 if full else 1))
    assert got.dtype == np.uint8
    assert np.abs(got - exact).max() <= 0.5 + 1e-5


@pytest.mark.parametrize("size", [(51, 33), (52, 33), (51, 34)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    picture = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    path = videos.write(tmp_path / "a.mp4", [picture] * 3, pix_fmt="yuv444p", encoder={"crf": "1"})
    gray, color = videos.read(path).luma, list(decode.read_color(path))
    np.testing.assert_allclose(gray[1].astype(int), picture, atol=4)
    np.testing.assert_allclose(np.stack(color).mean(-1), gray, atol=3)


@pytest.mark.parametrize("transfer", [pytest.param(16, id="PQ"), pytest.param(18, id="HLG")])
def test_hdr_keeps_its_transfer_curve(tmp_path: Path, transfer: int) -> None:
    ramp = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (64, 1))
    path = videos.write(
        tmp_path / "a.mp4",
        [ramp] * 3,
        codec="libx265",
        encoder={"x265-params": "log-level=none", "crf": "2"},
        pix_fmt="yuv420p10le",
        color_trc=transfer,
        color_primaries=9,
        colorspace=9,
    )
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (frame.format.name, frame.color_trc) == ("yuv420p10le", transfer)
    np.testing.assert_allclose(videos.read(path).luma[1].astype(int), ramp, atol=4)
