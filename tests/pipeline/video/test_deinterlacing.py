"""Interlaced pictures, made of the fields of twice as many progressive ones."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from pipeline.video import decode
from pipeline.video.clock import Picture
from pipeline.video.deinterlacing import deinterlaced
from tests import videos

HEIGHT, WIDTH, COUNT = 96, 160, 24


def moments() -> list[np.ndarray]:
    """A soft bar that moves 4 pixels every 20 ms, two pictures a frame: uint8 [H, W]."""
    x, y = np.arange(WIDTH), np.arange(HEIGHT)
    slope = 20 * np.sin(y / 9)[:, None]
    bars = [np.exp(-(((x - slope - 10 - 2.5 * step) / 8) ** 2)) for step in range(2 * COUNT)]
    return [np.rint(40 + 180 * bar).astype(np.uint8) for bar in bars]


def write_interlaced(path: Path, codec: str, tff: bool) -> None:
    """Writes frames of two fields each."""
    flags = {"flags": "+ildct+ilme"} if codec == "mpeg2video" else {"x264-params": "tff=1" if tff else "bff=1"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "1", "qscale": "1", **flags})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        graph = marking(tff)
        whole = moments()
        for number in range(COUNT):
            first, second = whole[2 * number : 2 * number + 2]
            picture = first.copy()
            picture[1 if tff else 0 :: 2] = second[1 if tff else 0 :: 2]
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(
                format="yuv420p", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.vpush(frame)
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))


def marking(tff: bool) -> Graph:
    """A filter that says of frames that they are interlaced."""
    graph = Graph()
    source = graph.add_buffer(width=WIDTH, height=HEIGHT, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25))
    mark = graph.add("setparams", f"field_mode={'tff' if tff else 'bff'}")
    graph.link_nodes(source, mark, graph.add("buffersink")).configure()
    return graph


def combs(luma: np.ndarray) -> float:
    """How much lines differ from the mean of their neighbours, on average over pictures [F, H, W]."""
    values = luma.astype(float)
    return float(np.abs(values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2).mean())


@pytest.mark.parametrize(
    ("name", "codec", "tff"),
    [
        ("a.mpg", "mpeg2video", True),
        ("a.ts", "mpeg2video", False),
        ("a.mp4", "libx264", True),
        ("a.mkv", "libx264", False),
    ],
)
def test_fields_become_whole_pictures(tmp_path: Path, name: str, codec: str, tff: bool) -> None:
    path = tmp_path / name
    write_interlaced(path, codec, tff)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert all(frame.interlaced_frame for frame in frames)
    fields = np.stack([frame.to_ndarray(format="gray") for frame in frames])
    seen, truth = videos.read(path), np.stack(moments()[::2])
    np.testing.assert_allclose(seen.times - seen.begins, np.arange(COUNT) / 25, atol=1e-3)
    assert combs(fields) > 5 * combs(truth)
    assert combs(seen.luma) < 1.5 * combs(truth)
    assert np.abs(seen.luma[1:-1].astype(int) - truth[1:-1]).mean() < 3  # the first field of each frame
    color = np.stack(list(decode.read_color(path))).mean(-1)
    np.testing.assert_allclose(color, seen.luma, atol=4)


def test_only_marked_pictures_are_filtered() -> None:
    """Progressive ones before and between interlaced ones stay as they are, also where the size changes."""
    whole, graph = moments(), marking(True)
    pictures, marks = [], [False] * 3 + [True] * 6 + [False] * 3
    for number, interlaced in enumerate(marks):
        frame = av.VideoFrame.from_ndarray(whole[number], format="gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        if interlaced:
            graph.vpush(frame)
            frame = graph.vpull()
        pictures.append(Picture(number / 25, 0.04, frame))
    large = av.VideoFrame(2 * WIDTH, HEIGHT, "yuv420p")
    large.pts, large.time_base = len(marks), Fraction(1, 25)
    pictures.append(Picture(len(marks) / 25, 0.04, large))
    seen = list(deinterlaced(iter(pictures)))
    assert [picture.time for picture in seen] == [picture.time for picture in pictures]
    assert [picture.frame.width for picture in seen] == [WIDTH] * len(marks) + [2 * WIDTH]
    for marked, given, got in zip(marks, pictures, seen, strict=False):
        same = np.array_equal(given.frame.to_ndarray(), got.frame.to_ndarray())
        assert same is not marked


def test_one_interlaced_picture(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mpg"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        frame = av.VideoFrame.from_ndarray(moments()[0], format="gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert videos.read(tmp_path / "a.mpg").luma.shape == (1, HEIGHT, WIDTH)


@pytest.mark.parametrize(("name", "order"), [("a.mp4", "tff"), ("a.mkv", "bff")])
def test_spans_of_interlaced_videos_are_exact(tmp_path: Path, name: str, order: str) -> None:
    """Also where they begin with a key picture, which has no neighbour before it if decoding begins there."""
    noise = np.random.default_rng(0).integers(0, 128, (325, 64, 160), np.uint8)
    parameters = {"x264-params": f"{order}=1:keyint=50:scenecut=0", "crf": "5"}
    path = videos.write(tmp_path / name, list(noise), encoder=parameters)
    whole = videos.read(path).luma
    for first, stop in ((255, 258), (300, 303), (320, 322)):
        np.testing.assert_array_equal(videos.read(path, span=(first / 25, stop / 25)).luma, whole[first:stop])
