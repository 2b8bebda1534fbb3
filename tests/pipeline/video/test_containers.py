"""Numbered pictures in every container: which are read, in which order, and from where."""

import gc
import os
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.schema import ClipError, Reason
from pipeline.video import decode
from tests import videos

OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:keyint=50:scenecut=0:b-adapt=0"}
PYRAMID = {"x264-params": "bframes=7:b-pyramid=2:b-adapt=0:scenecut=0"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
MPEG = {"codec": "mpeg2video", "gop": 12}
HEVC = {"codec": "libx265", "encoder": {"x265-params": "log-level=none"}}
VP9 = {"codec": "libvpx-vp9", "encoder": {"deadline": "realtime", "cpu-used": "8"}}
AV1 = {"codec": "libsvtav1", "encoder": {"preset": "8", "crf": "20", "svtav1-params": "lp=1"}}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.mp4", {}),
        ("a.mov", {"muxer": {"use_editlist": "0"}}),
        ("fragmented.mp4", {"muxer": FRAGMENTED}),
        ("open.mp4", {"encoder": OPEN_GOP}),
        ("open.mkv", {"encoder": OPEN_GOP}),
        ("a.mkv", {"begins": 2.0}),
        ("a.ts", {}),
        ("a.flv", {}),
        ("a.nut", {}),
        ("a.avi", {"encoder": PYRAMID}),
        ("open.avi", {"encoder": OPEN_GOP}),
        ("part2.avi", {"codec": "mpeg4"}),
        ("mpeg1.mpg", {"codec": "mpeg1video", "gop": 12}),
        ("mpeg2.mpg", MPEG),
        ("mpeg2.ts", MPEG),
        ("mpeg2.mkv", MPEG),
        ("a.mxf", MPEG),
        ("a.wmv", {"codec": "mpeg4"}),
        ("raw.h264", {}),
        ("raw.m2v", MPEG),
        ("hevc.mp4", HEVC),
        ("raw.hevc", HEVC),
        ("vp9.webm", VP9),
        ("av1.mkv", AV1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spans_are_exact(tmp_path: Path, name: str, settings: dict[str, object]) -> None:
    count = 320
    path = videos.write(tmp_path / name, videos.numbered(count), **settings)
    whole = videos.read(path)
    assert (videos.numbers(whole.luma), whole.begins) == (list(range(count)), 0)
    np.testing.assert_allclose(whole.times, np.arange(count) / 25, atol=1.1e-3)
    for first, stop in ((0, 3), (251, 275), (275, 276), (300, 310), (301, count)):
        part = videos.read(path, span=(first / 25, stop / 25))
        assert (videos.numbers(part.luma), part.begins) == (list(range(first, stop)), first / 25)
        np.testing.assert_array_equal(part.luma, whole.luma[first:stop])


def reject(path: Path, reason: Reason, match: str, **settings: object) -> None:
    with pytest.raises(ClipError, match=match) as error:
        videos.read(path, **settings)
    assert error.value.reason is reason


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov", "a.flv", "a.nut"])
def test_a_copy_from_between_key_pictures_lacks_its_front(tmp_path: Path, name: str) -> None:
    whole = videos.write(tmp_path / "whole.mp4", videos.numbered(200), gop=100, encoder={"sc_threshold": "0"})
    path = videos.copy(whole, tmp_path / name, first=40)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        begins = float(first.pts * first.time_base) - container.start_time / 1e6
    assert 1.9 < begins < 2.5
    reject(path, Reason.TRUNCATED, f"first picture at {begins:.3f} s, the stream begins at 0.0")
    reject(path, Reason.TRUNCATED, f"first picture at {begins:.3f} s, the span is 1 to 2 s", span=(1.0, 2.0))
    third = 100 + round(25 * (3.0 - begins))
    assert videos.numbers(videos.read(path, span=(3.0, 3.4)).luma) == list(range(third, third + 10))
    undamaged = videos.copy(whole, tmp_path / f"undamaged_{name}", first=100)  # from a key picture on
    assert videos.numbers(videos.read(undamaged).luma) == list(range(100, 200))


def write_streams(path: Path, sizes: list[tuple[int, int]], default: int | None = None) -> None:
    """A file with video streams of these widths and heights, each picture as bright as the number of its stream."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in sizes]
        for number, (stream, (width, height)) in enumerate(zip(streams, sizes, strict=True)):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for number, (stream, (width, height)) in enumerate(zip(streams, sizes, strict=True)):
            for packet in videos.encoded(stream, [np.full((height, width), 60 * number, np.uint8)] * 5):
                container.mux(packet)


@pytest.mark.parametrize(
    ("sizes", "default", "read"),
    [
        pytest.param([(32, 16), (48, 32)], 0, 1, id="the largest, whatever the default"),
        pytest.param([(48, 32), (32, 48), (48, 32)], 2, 2, id="of equals the default"),
        pytest.param([(48, 32), (48, 32)], None, 0, id="else the first"),
    ],
)
def test_of_several_streams_one_is_read(
    tmp_path: Path, sizes: list[tuple[int, int]], default: int | None, read: int
) -> None:
    write_streams(tmp_path / "a.mkv", sizes, default)
    seen = videos.read(tmp_path / "a.mkv")
    assert seen.luma.shape == (5, sizes[read][1], sizes[read][0])
    np.testing.assert_allclose(seen.luma, 60 * read, atol=3)


@pytest.mark.parametrize("begins", [0.0, 100.0], ids=["clock goes back", "clock leaps"])
@pytest.mark.parametrize(
    ("suffix", "settings"), [("ts", {}), ("ts", {"sound": (0.0, 1.2)}), ("ts", MPEG), ("mpg", MPEG)]
)
def test_joined_recordings_are_read_on(tmp_path: Path, suffix: str, settings: dict[str, object], begins: float) -> None:
    pictures = videos.numbered(90)
    parts = [(pictures[:30], 0.0), (pictures[30:55], begins), (pictures[55:], begins)]
    for number, (shown, second) in enumerate(parts):
        videos.write(tmp_path / f"{number}.{suffix}", shown, begins=second, **settings)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"".join((tmp_path / f"{number}.{suffix}").read_bytes() for number in range(3)))
    seen = videos.read(path)
    shown, late = videos.numbers(seen.luma), 2 if suffix == "mpg" else 0  # libavformat guesses the end of a part late
    assert (sorted(set(shown)), len(shown) <= 90 + late) == (list(range(90)), True)
    np.testing.assert_array_less(np.abs(seen.times - seen.begins - np.array(shown) / 25), 0.001 + late / 25)


@pytest.mark.parametrize("packet", [100, 101, 150])
def test_lost_transport_packets_are_damage(tmp_path: Path, packet: int) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (50, 64, 160), np.uint8))
    path = videos.write(tmp_path / "a.ts", noise, encoder={"crf": "1"})
    data = path.read_bytes()
    path.write_bytes(data[: 188 * packet] + data[188 * (packet + 3) :])
    reject(path, Reason.UNREADABLE, r"damaged after picture \d")


def test_a_beheaded_transport_stream_joined_to_another(tmp_path: Path) -> None:
    """Pictures that need those before the cut are damage, not dropped without a word."""
    pictures = videos.numbered(100)
    first = videos.write(tmp_path / "1.ts", pictures[:40])
    second = videos.write(tmp_path / "2.ts", pictures[40:], gop=30)
    data = second.read_bytes()
    path = tmp_path / "a.ts"
    path.write_bytes(first.read_bytes() + data[188 * (len(data) // 188 // 4) :])
    reject(path, Reason.UNREADABLE, r"damaged after picture \d")


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Pictures of 0.8 MB each, of which 200 would be 160 MB; without collections of cycles, which come too late."""
    mirrored = [-(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    path = videos.write(tmp_path / "a.mp4", [np.zeros((540, 960), np.uint8)] * 200, codec="mpeg4", matrix=mirrored)
    gc.disable()
    try:
        before = resident()
        assert sum(1 for _ in decode.read_color(path)) == 200
        with decode.opened(path) as video:
            assert sum(1 for _ in video) == 200
        assert resident() - before < 60
    finally:
        gc.enable()


def resident() -> float:
    """Megabytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
