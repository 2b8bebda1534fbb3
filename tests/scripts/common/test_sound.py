"""A flash and a click at the same instant are found in the overlay, each by decoding it anew."""

import itertools
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.mouth.cropping import Crops
from pipeline.video import decode
from scripts.common import overlay
from tests import datasets

FRAMES, FLASH = 30, 20  # pictures of 1/25 s, and which of them is white
CLICK_S = 0.01


def write_source(
    path: Path,
    codecs: tuple[str, str],
    pictures_s: float,
    sound_s: float,
    stop_s: float,
    rate: int = 48_000,
    layout: str = "stereo",
) -> None:
    """A video whose pictures begin at one second and whose sound at another; three clicks, the second at the flash."""
    flash = pictures_s + FLASH / 25
    with av.open(str(path), "w") as container:
        shown, heard = container.add_stream(codecs[0], rate=25), container.add_stream(codecs[1], rate=rate)
        (shown.width, shown.height), shown.pix_fmt, heard.layout = (96, 64), "yuv420p", layout
        shown.codec_context.max_b_frames = 0
        samples = np.zeros([heard.layout.nb_channels, round((stop_s - sound_s) * rate)], np.float32)
        for click in (sound_s + 0.1, flash, stop_s - 0.1):
            begin = round((click - sound_s) * rate)
            time = np.arange(round(CLICK_S * rate)) / rate
            samples[:, begin : begin + len(time)] = 0.8 * np.sin(2 * np.pi * 3000 * time)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(sound_s * rate)
        packets = [[*heard.encode(frame), *heard.encode(None)], []]
        for number in range(FRAMES):
            gray = np.full([64, 96], 235 if number == FLASH else 16, np.uint8)
            picture = av.VideoFrame.from_ndarray(gray, "gray")
            picture.pts = number + round(pictures_s * 25)
            picture.time_base = Fraction(1, 25)
            packets[1] += shown.encode(picture)
        packets[1] += shown.encode(None)
        for packet in sorted(itertools.chain(*packets), key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)


def clicks(path: Path) -> list[float]:
    """The seconds at which clicks begin, by the times of the decoded samples."""
    found: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray().astype(np.float64))
            loud = loud.reshape(-1, frame.layout.nb_channels).max(1) if not frame.format.is_planar else loud.max(0)
            for sample in np.flatnonzero(loud > 0.2 * (32767 if frame.format.name.startswith("s16") else 1)):
                second = frame.time + sample / frame.sample_rate
                if not found or second - found[-1] > 3 * CLICK_S:
                    found.append(second)
    return found


def flash(path: Path) -> tuple[float, int]:
    """The second of the first white picture, and how many pictures there are."""
    with av.open(str(path)) as container:
        shown = [(frame.to_ndarray(format="gray")[:60].mean(), frame.time) for frame in container.decode(video=0)]
    return next(second for gray, second in shown if gray > 150), len(shown)


def overlaid(source: Path, output: Path) -> str:
    """Writes the overlay as `transcribe` does; the codec of its sound."""
    with decode.opened(source) as video:
        frames = len(list(video))
    crops = Crops(np.zeros([frames, 112, 112], np.uint8), np.ones(frames, bool), np.zeros([frames, 4, 2], np.float32))
    overlay.write(source, [crops], [], 25.0, video.begins, output)
    with av.open(str(output)) as container:
        return container.streams.audio[0].codec_context.name if container.streams.audio else ""


@pytest.mark.parametrize(
    ("name", "codecs", "pictures_s", "sound_s", "codec"),
    [
        ("a.mpg", ("mpeg1video", "mp2"), 0.0, 0.0, "aac"),
        ("pcm.mkv", ("mpeg4", "pcm_s16le"), 0.0, 0.0, "aac"),
        ("opus.mkv", ("mpeg4", "libopus"), 0.0, 0.0, "opus"),
        ("flac.mkv", ("mpeg4", "flac"), 0.0, 0.0, "flac"),
        ("ac3.mkv", ("mpeg4", "ac3"), 0.0, 0.0, "aac"),
        ("a.avi", ("mpeg4", "libmp3lame"), 0.0, 0.0, "mp3float"),
        ("a.ts", ("mpeg2video", "aac"), 0.0, 0.0, "aac"),
        ("a.mp4", ("mpeg4", "aac"), 0.0, 0.0, "aac"),
        ("late sound.mp4", ("mpeg4", "aac"), 0.0, 0.52, "aac"),
        ("late sound.mkv", ("mpeg4", "pcm_s16le"), 0.0, 0.53, "aac"),
        ("late pictures.mkv", ("mpeg4", "libopus"), 0.36, 0.0, "opus"),
        ("late pictures.mp4", ("mpeg4", "aac"), 0.36, 0.0, "aac"),
        ("both late.mpg", ("mpeg1video", "mp2"), 0.6, 0.3, "aac"),
    ],
)
def test_sound_is_kept_in_time_with_the_pictures(
    name: str, codecs: tuple[str, str], pictures_s: float, sound_s: float, codec: str, tmp_path: Path
) -> None:
    source, output = tmp_path / name, tmp_path / "seen.mp4"
    stop_s = pictures_s + FRAMES / 25 + 0.4  # sound goes on behind the pictures
    write_source(source, codecs, pictures_s, sound_s, stop_s)
    assert overlaid(source, output) == codec
    (white, pictures), heard = flash(output), clicks(output)
    shown_s = pictures_s + FLASH / 25
    assert pictures == FRAMES + (name == "a.avi")  # which writes the delay of mp3 as an empty picture
    assert [second - white for second in heard] == pytest.approx(
        [sound_s + 0.1 - shown_s, 0.0, stop_s - 0.1 - shown_s], abs=0.02
    )


def test_recordings_that_were_joined_keep_their_sound(tmp_path: Path) -> None:
    write_source(tmp_path / "one.mpg", ("mpeg1video", "mp2"), 0.0, 0.0, FRAMES / 25)
    one = (tmp_path / "one.mpg").read_bytes()
    (tmp_path / "two.mpg").write_bytes(one + one)
    assert overlaid(tmp_path / "two.mpg", tmp_path / "seen.mp4") == "aac"
    white, pictures = flash(tmp_path / "seen.mp4")
    assert pictures == 2 * FRAMES
    heard = [second - white for second in clicks(tmp_path / "seen.mp4")]
    assert heard == pytest.approx([-0.7, 0.0, 0.3, 0.5, 1.2, 1.5], abs=0.04)


def test_a_video_without_sound_has_an_overlay_without(tmp_path: Path) -> None:
    datasets.write_video(tmp_path / "a.mp4", datasets.pixels(9, seed=1, side=96))
    assert overlaid(tmp_path / "a.mp4", tmp_path / "seen.mp4") == ""
    for number, picture in enumerate(decode.read_color(tmp_path / "a.mp4")):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    assert overlaid(tmp_path / "images", tmp_path / "seen of images.mp4") == ""


def test_sound_of_one_channel_at_a_rate_that_aac_lacks_is_resampled(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    write_source(source, ("mpeg4", "pcm_s16le"), 0.0, 0.0, 1.6, rate=10_000, layout="mono")
    overlaid(source, tmp_path / "seen.mp4")
    with av.open(str(tmp_path / "seen.mp4")) as container:
        heard = container.streams.audio[0].codec_context
        assert (heard.sample_rate, heard.layout.name) == (48_000, "mono")
    assert [second - flash(tmp_path / "seen.mp4")[0] for second in clicks(tmp_path / "seen.mp4")] == pytest.approx(
        [-0.7, 0.0, 0.7], abs=0.02
    )


def test_damaged_sound_is_silent_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = tmp_path / "a.mkv"
    write_source(source, ("mpeg4", "ac3"), 0.0, 0.0, 1.6)
    content = bytearray(source.read_bytes())
    place = content.find(b"\x0b\x77", content.find(b"\x0b\x77", content.find(b"\x0b\x77") + 2) + 2)  # the third frame
    content[place : place + 2] = b"\0\0"
    source.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert overlaid(source, tmp_path / "seen.mp4") == "aac"
    assert [record.getMessage() for record in caplog.records] == [
        f"{source}: 1 damaged packets of its sound are silent"
    ]
    white, heard = flash(tmp_path / "seen.mp4")[0], clicks(tmp_path / "seen.mp4")
    assert [second - white for second in heard[-2:]] == pytest.approx([0.0, 0.7], abs=0.02)


def wave(path: Path) -> np.ndarray:
    """float32 [n]: the sound at 16 kHz, from the first picture on."""
    with av.open(str(path)) as container:
        begins = next(container.decode(video=0)).time
    resampler, parts = av.AudioResampler("fltp", "mono", 16_000), []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        begins -= container.streams.audio[0].start_time * container.streams.audio[0].time_base
    return np.concatenate(parts)[round(begins * 16_000) :]


@pytest.mark.parametrize("name", ["bbaf2n.mpg", "lwbsza.mpg"])
def test_speech_of_a_real_clip_is_where_it_was(name: str, grid_clips: Path, tmp_path: Path) -> None:
    source = grid_clips.parent / "recordings" / name
    if not source.is_file():
        pytest.skip(f"needs {name} in a folder `recordings` beside LIPFLOW_GRID")
    assert overlaid(source, tmp_path / "seen.mp4") == "aac"
    before, after = (np.fft.rfft(wave(path), 1 << 17) for path in (source, tmp_path / "seen.mp4"))
    likeness = np.fft.irfft(after * before.conj()) / np.sqrt((abs(before) ** 2).mean() * (abs(after) ** 2).mean())
    assert int(likeness.argmax()) == 0  # of 1/16000 s
    assert likeness.max() > 0.9
