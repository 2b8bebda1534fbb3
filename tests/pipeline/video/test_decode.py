import itertools
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.schema import ClipError, Reason
from pipeline.video import decode
from tests import videos


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a name, with: colon.mp4", "-ü*?[x].mp4"])
def test_a_constant_rate_of_25_passes_unchanged(tmp_path: Path, name: str) -> None:
    videos.write_timed(tmp_path / name, [i / 25 for i in range(60)])
    seen = videos.read(tmp_path / name)
    assert seen.luma.shape == (60, 32, 48)
    assert seen.luma.dtype == np.uint8
    assert videos.shown(seen) == list(range(60))
    np.testing.assert_allclose(seen.times, np.arange(60) / 25, atol=1.1e-3)


@pytest.mark.parametrize(
    ("rate", "count", "expected"),
    [
        pytest.param(30, 12, [0, 1, 2, 4, 5, 6, 7, 8, 10, 11], id="30"),
        pytest.param(30000 / 1001, 12, [0, 1, 2, 4, 5, 6, 7, 8, 10, 11], id="29.97"),
        pytest.param(50, 10, [0, 2, 4, 6, 8], id="50"),
        pytest.param(12.5, 4, [0, 0, 1, 1, 2, 2, 3, 3], id="12.5"),
    ],
)
def test_other_rates_are_resampled(tmp_path: Path, rate: float, count: int, expected: list[int]) -> None:
    videos.write_timed(tmp_path / "a.mp4", [i / rate for i in range(count)], rate=rate)
    assert videos.shown(videos.read(tmp_path / "a.mp4")) == expected


def test_a_variable_rate_shows_the_latest_picture(tmp_path: Path) -> None:
    videos.write_timed(tmp_path / "a.mp4", [0.0, 0.05, 0.3, 0.34, 0.341, 0.42])
    seen = videos.read(tmp_path / "a.mp4")
    # Instants 0, .04, ... .44; a picture may begin up to 0.016 s late: .05 counts for .04, .42 not for .40.
    assert videos.shown(seen)[:11] == [0, 1, 1, 1, 1, 1, 1, 1, 2, 4, 4]
    np.testing.assert_allclose(seen.times[[0, 1, 8, 9]], [0, 0.05, 0.3, 0.341], atol=1e-4)


def test_the_output_rate(tmp_path: Path) -> None:
    videos.write_timed(tmp_path / "a.mp4", [i / 25 for i in range(25)])
    seen = videos.read(tmp_path / "a.mp4", fps=12.5)
    assert videos.shown(seen) == [*range(0, 24, 2)]  # 12.5 frames round to 12


@pytest.mark.parametrize("gop", [12, 10_000], ids=["many keys", "one key"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_span_equals_those_frames_of_the_whole_video(tmp_path: Path, name: str, gop: int) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, videos.SIZE[::-1], np.uint8) for _ in range(7)]
    pictures = [noise[i % 7] // 2 + i // 4 for i in range(400)]
    videos.write_timed(tmp_path / name, [i / 25 for i in range(400)], pictures=pictures, gop=gop)
    whole = videos.read(tmp_path / name)
    assert len(whole.luma) == 400
    for first, stop in ((0, 3), (51, 60), (251, 280), (300, 337), (390, 400)):  # past 250: reached by seeking
        part = videos.read(tmp_path / name, span=(first / 25, stop / 25))
        np.testing.assert_array_equal(part.luma, whole.luma[first:stop])
        np.testing.assert_array_equal(part.times, whole.times[first:stop])


def test_a_span_beyond_the_end(tmp_path: Path) -> None:
    videos.write_timed(tmp_path / "a.mp4", [i / 25 for i in range(25)])
    assert len(videos.read(tmp_path / "a.mp4", span=(0.4, 1.06)).luma) == 15  # annotations round
    videos.reject(tmp_path / "a.mp4", Reason.TRUNCATED, "1.000 s.* 0.4 to 1.5 s", span=(0.4, 1.5))
    videos.reject(tmp_path / "a.mp4", Reason.TRUNCATED, "3 to 3.04 s", span=(3.0, 3.04))


@pytest.mark.parametrize("rotation", [0, 90])
def test_color_frames_match_the_gray_ones(tmp_path: Path, rotation: int) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [k / 30 for k in range(30)], rotation=rotation)
    gray, color = videos.read(path).luma, list(decode.read_color(path))
    assert (len(color), color[0].shape, color[0].dtype) == (25, (*gray.shape[1:], 3), np.uint8)
    np.testing.assert_allclose(np.stack(color).mean(-1), gray, atol=2)


def test_frames_come_one_by_one(tmp_path: Path) -> None:
    """None is kept, whatever the number of frames, and a picture shown again is the same array."""
    videos.write_timed(tmp_path / "a.mp4", [k / 12.5 for k in range(60)], rate=12.5)
    (tmp_path / "images").mkdir()
    for number in range(30):
        Image.new("L", videos.SIZE, number).save(tmp_path / f"images/{number}.png")
    for path, repeated in ((tmp_path / "a.mp4", 60), (tmp_path / "images", 0)):
        with decode.opened(path) as video:
            frames, last, same = [], None, 0
            for frame in video:
                same, last = same + (frame is last), frame
                frames.append(weakref.ref(frame))
                assert len({id(held()) for held in frames if held() is not None}) <= 2
                assert len(video.times) == len(frames)
        assert same == repeated


def test_large_pictures_keep_their_size(tmp_path: Path) -> None:
    picture = np.zeros((1440, 2560), np.uint8)
    picture[:, ::2] = 200  # lines of one pixel
    videos.write_timed(tmp_path / "a.mp4", [0, 0.04], size=(2560, 1440), pictures=[picture] * 2)
    np.testing.assert_allclose(videos.read(tmp_path / "a.mp4").luma[0], picture, atol=12)


def test_more_than_max_frames_is_refused_before_decoding_all(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [i / 25 for i in range(100)], options={"movflags": "faststart"})
    assert len(videos.read(path, max_frames=100).luma) == 100
    videos.reject(path, Reason.TOO_LONG, "100 frames.* limit is 99 .*--max_frames", max_frames=99)
    videos.reject(path, Reason.TOO_LONG, "50 frames.* limit is 49", max_frames=49, span=(1.0, 3.0))
    path.write_bytes(path.read_bytes()[:-200])  # damage at the end, which reading to the limit never meets
    videos.reject(path, Reason.TOO_LONG, "51 frames.* limit is 50", max_frames=50)
    videos.reject(path, Reason.TRUNCATED, "after picture", max_frames=100)


def test_frames_beyond_max_frames_are_truncated_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [i / 25 for i in range(60)], options={"movflags": "faststart"})
    seen = [videos.read(path, max_frames=limit, truncate=True) for limit in (60, 59)]
    assert [(videos.shown(one), one.truncated) for one in seen] == [(list(range(60)), False), (list(range(59)), True)]
    seen = [videos.read(path, max_frames=limit, truncate=True, span=(0.4, 0.8)) for limit in (10, 9)]
    assert [(videos.shown(one), one.truncated) for one in seen] == [
        (list(range(10, 20)), False),
        (list(range(10, 19)), True),
    ]
    path.write_bytes(path.read_bytes()[:-200])  # damage that reading to the limit never meets
    assert videos.read(path, max_frames=40, truncate=True).truncated


def test_timestamps_that_stand_still_count_at_the_nominal_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    stamps = [*(i / 25 for i in range(39)), 39.5 / 25]
    videos.write_timed(path, stamps, options={"movflags": "faststart"}, b_frames=0)
    data = bytearray(path.read_bytes())
    table = data.index(b"stts") + 8  # a count, then pairs of samples and ticks: (38, .04 s) (1, .06 s) (1, .04 s)
    assert data[table : table + 8] == bytes([0, 0, 0, 3, 0, 0, 0, 38])
    data[table + 8 : table + 12] = data[table + 16 : table + 20] = bytes(4)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    assert {p.pts for p in packets} == {0}
    assert decode.end(path) == 1.6
    assert videos.shown(videos.read(path)) == list(range(40))
    assert videos.shown(videos.read(path, span=(0.4, 0.8))) == list(range(10, 20))
    path.write_bytes(path.read_bytes()[: packets[30].pos])
    videos.reject(path, Reason.TRUNCATED, "1.200 s after picture 30")


def test_the_end_by_the_header(tmp_path: Path) -> None:
    videos.write_timed(tmp_path / "a.mp4", [n / 30 for n in range(45)], rate=30)
    assert decode.end(tmp_path / "a.mp4") == pytest.approx(1.5, abs=0.001)
    late = videos.write(tmp_path / "late.mp4", videos.numbered(25), begins=0.4, sound=(0.0, 1.0))
    assert decode.end(late) == pytest.approx(1.4, abs=0.001)
    (tmp_path / "images").mkdir()
    for number in range(5):
        (tmp_path / f"images/{number}.png").touch()
    assert decode.end(tmp_path / "images") == 0.2
    assert decode.end(tmp_path / "images", fps=10) == 0.5
    (tmp_path / "text.mp4").write_text("a text named like a video\n" * 100)
    with pytest.raises(ClipError, match=r"^unreadable: .*text\.mp4: "):
        decode.end(tmp_path / "text.mp4")


MILLISECONDS = (500.0, 2250.0)


CORRECT = "correct its times, which are seconds, or replace a video that was cut off"


@pytest.mark.parametrize(
    ("name", "span", "said"),
    [
        ("a.mp4", MILLISECONDS, "ends at 3.000 s by its container, the span is 500 to 2250 s and begins behind that"),
        ("a.mkv", (0.5, 2250.0), "ends at 3.000 s by its container, the span is 0.5 to 2250 s and ends behind that"),
        ("a.mp4", (5.0, 6.0), "ends at 3.000 s, the span is 5 to 6 s and begins behind that"),
        ("a.mp4", (2.0, 3.2), "ends at 3.000 s, the span is 2 to 3.2 s and ends behind that"),
        ("a.ts", MILLISECONDS, "ends at 3.000 s, the span is 500 to 2250 s and begins behind that"),
        ("a.h264", (0.5, 2250.0), "ends at 3.000 s, the span is 0.5 to 2250 s and ends behind that"),
    ],
)
@pytest.mark.parametrize("truncate", [False, True])
def test_a_span_behind_the_end_of_the_video(
    tmp_path: Path, name: str, span: tuple[float, float], said: str, truncate: bool
) -> None:
    path = videos.write(tmp_path / name, videos.numbered(75))
    said = said.replace(" by its container", "") if truncate else said  # a part of the span may do, so it is read
    with pytest.raises(ClipError) as error:
        videos.read(path, span=span, max_frames=1000, truncate=truncate)
    assert (error.value.reason, error.value.detail) == (Reason.TRUNCATED, f"{path}: {said}; {CORRECT}")


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.h264"])
def test_a_span_is_too_long_only_where_the_video_has_so_many_frames(tmp_path: Path, name: str) -> None:
    path = videos.write(tmp_path / name, videos.numbered(75))
    videos.reject(path, Reason.TOO_LONG, r"frames, the limit is 49 \(--max_frames", max_frames=49, span=(0.0, 2.0))
    videos.reject(
        path, Reason.TOO_LONG, "the limit is 70 ", max_frames=70, span=(0.0, 3.08)
    )  # as far as frames are rounded
    seen = videos.read(path, max_frames=49, span=(0.0, 2250.0), truncate=True)
    assert (len(seen.luma), seen.truncated) == (49, True)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"span": (1.0, 1.0)}, "span: want 0 <= start < stop"),
        ({"span": (-1.0, 1.0)}, "span"),
        ({"span": (0.0, float("nan"))}, "span"),
        ({"fps": 0.0}, "fps: want a positive number, got 0"),
        ({"fps": float("inf")}, "fps"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        videos.read(tmp_path / "a.mp4", **settings)


@pytest.mark.parametrize(
    ("name", "frames"), [("s1/bbaf2n.mp4", 75), ("s1/sbbbzp.mp4", 74), ("s1/bbbm2p.mpg", 75), ("s2/swwp2s.mpg", 75)]
)
def test_grid_passes_untouched(name: str, frames: int, grid_clips: Path) -> None:
    seen = videos.read(grid_clips / name)
    assert seen.luma.shape == (frames, 288, 360)
    np.testing.assert_allclose(seen.times, np.arange(frames) / 25, atol=1e-9)
    with av.open(str(grid_clips / name)) as container:
        for plane, frame in itertools.zip_longest(seen.luma, container.decode(video=0)):
            limited = frame.to_ndarray()[:288].astype(float)  # the Y plane of yuv420p
            np.testing.assert_array_equal(plane, np.clip(np.rint((limited - 16) * 255 / 219), 0, 255))
    part = videos.read(grid_clips / name, span=(1.0, 2.0))
    np.testing.assert_array_equal(part.luma, seen.luma[25:50])
