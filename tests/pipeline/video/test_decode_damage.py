"""Videos that are cut off or damaged, and files that are no videos."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.schema import ClipError, Reason
from pipeline.video import decode
from tests import videos


def test_color_of_a_text_file_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(ClipError, match=r"^unreadable: .*a\.mp4: "):
        next(decode.read_color(tmp_path / "a.mp4"))


def test_errors_surface_behind_the_frames_before_them(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [i / 25 for i in range(50)], options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-200])
    with decode.opened(path) as video:
        frames = iter(video)
        assert [round(float(next(frames).mean()) / 4) for _ in range(30)] == list(range(30))
        with pytest.raises(ClipError, match="after picture"):
            list(frames)


def test_libav_errors_of_others_pass(tmp_path: Path) -> None:
    """Only those of the video itself become UNREADABLE."""
    videos.write_timed(tmp_path / "a.mp4", [0, 0.04])
    opened = decode.opened(tmp_path / "a.mp4")
    next(iter(opened.__enter__()))
    error = av.FFmpegError(1, "of another file")
    assert not opened.__exit__(type(error), error, None)


def test_damage_right_behind_max_frames_is_ignored(tmp_path: Path) -> None:
    damaged = 51  # the last frame is read once picture 50 is
    path = videos.write(tmp_path / "a.mkv", videos.numbered(60), encoder={"bf": "0"})
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][damaged]
        data = bytearray(path.read_bytes())
        data[packet.pos + 12 : packet.pos + packet.size] = b"\xff" * (packet.size - 12)
    path.write_bytes(data)
    videos.reject(path, Reason.UNREADABLE, f"damaged after picture {damaged}")
    seen = videos.read(path, max_frames=50, truncate=True)
    assert (videos.numbers(seen.luma), seen.truncated) == (list(range(50)), True)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_truncated_mp4(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, videos.SIZE[::-1], np.uint8) for _ in range(50)]
    videos.write_timed(path, [i / 25 for i in range(50)], pictures=noise, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    videos.reject(path, Reason.TRUNCATED, r"after picture \d")


def test_truncated_between_packets(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [i / 25 for i in range(50)], options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        cut = [p.pos for p in container.demux(video=0) if p.size][40]
    path.write_bytes(path.read_bytes()[:cut])
    videos.reject(path, Reason.TRUNCATED, "after picture 40, the container")


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    videos.write_timed(path, [i / 25 for i in range(50)])  # the index comes last
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    videos.reject(path, Reason.UNREADABLE, "not a video")
    path.write_bytes(data[: data.index(b"stco") - 4])
    videos.reject(path, Reason.TRUNCATED, "no picture")


def test_damage_in_the_middle_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, videos.SIZE[::-1], np.uint8) for _ in range(50)]
    videos.write_timed(path, [i / 25 for i in range(50)], pictures=noise, options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 6000] = bytes(6000)
    path.write_bytes(data)
    videos.reject(path, Reason.UNREADABLE, r"damaged after picture \d")
    assert len(videos.read(path, span=(0, 0.4)).luma) == 10  # before the damage


def test_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("a text named like a video\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mpg").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n")
    for name in ("text.mp4", "empty.mp4", "noise.mpg", "list.mp4"):
        videos.reject(tmp_path / name, Reason.UNREADABLE, "not a video")
    videos.reject(tmp_path / "missing.mp4", Reason.UNREADABLE, "No such file")


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")  # opening it would hang
    videos.reject(tmp_path / "fifo.mp4", Reason.UNREADABLE, "neither a regular file nor a directory")
    videos.reject(Path("/dev/zero"), Reason.UNREADABLE, "neither a regular file nor a directory")


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for index in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 1024 * index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    videos.reject(path, Reason.NO_VIDEO, "no video stream")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_truncated_mpeg_1(tmp_path: Path, share: float, grid_clips: Path) -> None:
    data = (grid_clips / "s2" / "swwp2s.mpg").read_bytes()
    (tmp_path / "a.mpg").write_bytes(data[: int(len(data) * share)])
    videos.reject(tmp_path / "a.mpg", Reason.TRUNCATED, r"after picture \d")
