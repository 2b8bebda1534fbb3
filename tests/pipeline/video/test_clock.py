"""The container's clock: where pictures begin on it, and whether all that the container promises are there."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.schema import ClipError, Reason
from tests import videos

CODECS = {"mpg": "mpeg1video", "wmv": "mpeg4", "avi": "mpeg4"}
PRIMING = 0.0214  # seconds of silence before AAC and MP2, which mp4 and Matroska leave out at their beginning


@pytest.mark.parametrize(
    ("begins", "sound", "clock"),
    [
        pytest.param(2.0, None, 0.0, id="no sound"),
        pytest.param(0.4, (0.0, 3.4), 0.4, id="sound first"),
        pytest.param(5.4, (5.0, 8.4), 0.4, id="sound first, both late"),
        pytest.param(0.0, (0.4, 3.4), 0.0, id="picture first"),
        pytest.param(0.0, (0.0, 6.0), 0.0, id="sound longer"),
        pytest.param(0.0, (0.0, 1.0), 0.0, id="sound shorter"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "mpg", "flv", "nut", "wmv"])
def test_pictures_begin_where_the_sound_says(
    tmp_path: Path, suffix: str, begins: float, sound: tuple[float, float] | None, clock: float
) -> None:
    path = videos.write(
        tmp_path / f"a.{suffix}",
        videos.numbered(75),
        codec=CODECS.get(suffix, "libx264"),
        begins=begins,
        sound=sound,
    )
    seen = videos.read(path)
    assert videos.numbers(seen.luma) == list(range(75))
    exact = sound is None or (sound[0] == 0 and suffix in ("mp4", "mov", "mkv"))
    assert seen.begins == pytest.approx(clock, abs=0.0015 + (0 if exact else PRIMING))
    np.testing.assert_allclose(seen.times, seen.begins + np.arange(75) / 25, atol=1.1e-3)
    part = videos.read(path, span=(seen.begins + 1.0, seen.begins + 1.4))
    assert (videos.numbers(part.luma), part.begins) == (list(range(25, 35)), seen.begins + 1.0)


def test_a_span_before_the_first_picture(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.mp4", videos.numbered(50), begins=0.4, sound=(0.0, 2.4))
    with pytest.raises(ClipError, match=r"first picture at 0.400 s, the span is 0 to 1 s") as error:
        videos.read(path, span=(0.0, 1.0))
    assert error.value.reason is Reason.TRUNCATED
    near = videos.read(path, span=(0.32, 0.6))  # 2 frames early: annotations round
    assert (videos.numbers(near.luma), near.begins) == ([0, 0, 0, 1, 2, 3, 4], 0.32)


def test_a_stream_that_begins_in_the_middle(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "a.flv", videos.numbered(75), sound=(0.0, 3.0))
    with path.open("ab") as file:
        file.write(_text_of_flv("shown late", 2990))
    assert videos.numbers(videos.read(path).luma) == list(range(75))


def _text_of_flv(text: str, ms: int) -> bytes:
    """A tag of FLV: script data `onTextData`, of which demuxers make a stream of subtitles."""
    string = lambda value: len(value).to_bytes(2, "big") + value.encode()  # noqa: E731
    body = b"\x02" + string("onTextData") + b"\x08\0\0\0\1" + string("text") + b"\x02" + string(text) + b"\0\0\x09"
    tag = b"\x12" + len(body).to_bytes(3, "big") + ms.to_bytes(3, "big") + bytes(4) + body
    return tag + len(tag).to_bytes(4, "big")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("suffix", "sound"), [("mkv", True), ("mkv", False), ("avi", True), ("avi", False), ("flv", True), ("mp4", True)]
)
def test_a_file_that_breaks_off(tmp_path: Path, suffix: str, sound: bool, share: float) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (75, 64, 160), np.uint8))
    path = videos.write(
        tmp_path / f"a.{suffix}",
        noise,
        codec=CODECS.get(suffix, "libx264"),
        sound=(0.0, 3.0) if sound else None,
        muxer={"movflags": "faststart"} if suffix == "mp4" else {},
    )
    assert len(videos.read(path).luma) == 75
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    with pytest.raises(ClipError, match=r"after picture \d") as error:
        videos.read(path)
    assert error.value.reason is Reason.TRUNCATED
