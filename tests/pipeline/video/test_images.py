import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.schema import ClipError, Reason
from pipeline.video import decode
from tests import videos


def fill(directory: Path, names: list[str], size: tuple[int, int] = (16, 12)) -> None:
    """Writes image i with uniform brightness 10 * i."""
    directory.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", size, (10 * index,) * 3).save(directory / name)


def reject(path: Path, reason: Reason, match: str, **settings: object) -> None:
    with pytest.raises(ClipError, match=match) as error:
        videos.read(path, **settings)
    assert error.value.reason is reason


def test_a_directory_is_read_in_natural_order_at_the_given_rate(tmp_path: Path) -> None:
    fill(tmp_path / "c", ["1.png", "2.bmp", "9.PNG", "10.png", "a2.png", "a10.png"])
    (tmp_path / "c" / "notes.txt").write_text("not an image")
    (tmp_path / "c" / ".hidden.png").write_text("not an image")
    seen = videos.read(tmp_path / "c", fps=12.5)
    assert seen.luma.shape == (6, 12, 16)
    assert seen.luma.dtype == np.uint8
    assert seen.luma[:, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert seen.times.tolist() == [0.0, 0.08, 0.16, 0.24, 0.32, 0.4]


def test_a_span_of_a_directory(tmp_path: Path) -> None:
    fill(tmp_path / "c", [f"{i}.png" for i in range(10)])
    seen = videos.read(tmp_path / "c", span=(0.12, 0.28))
    assert seen.luma[:, 0, 0].tolist() == [30, 40, 50, 60]
    assert seen.times.tolist() == pytest.approx([0.12, 0.16, 0.2, 0.24])
    reject(tmp_path / "c", Reason.TRUNCATED, "0.400 s.* 0.2 to 0.6 s", span=(0.2, 0.6))
    reject(tmp_path / "c", Reason.TRUNCATED, "0.4 to 0.44 s", span=(0.4, 0.44))
    reject(tmp_path / "c", Reason.TOO_LONG, "10 frames.* limit is 9 .*--max_frames", max_frames=9)


@pytest.mark.parametrize("truncate", [False, True])
def test_a_span_behind_the_end_of_a_directory(tmp_path: Path, truncate: bool) -> None:
    fill(tmp_path / "c", [f"{i}.png" for i in range(10)])
    settings = {"max_frames": 9, "truncate": truncate}
    begins = "ends at 0.400 s, the span is 500 to 2250 s and begins behind that; correct its times"
    reject(tmp_path / "c", Reason.TRUNCATED, begins, span=(500.0, 2250.0), **settings)
    ends = "the span is 0.16 to 2250 s and ends behind that"
    reject(tmp_path / "c", Reason.TRUNCATED, ends, span=(0.16, 2250.0), **settings)
    if truncate:
        seen = videos.read(tmp_path / "c", span=(0.0, 2250.0), **settings)
        assert (seen.luma[:, 0, 0].tolist(), seen.truncated) == ([0, 10, 20, 30, 40, 50, 60, 70, 80], True)
    else:
        reject(tmp_path / "c", Reason.TOO_LONG, "10 frames, the limit is 9", span=(0.0, 0.4), **settings)


def test_images_beyond_max_frames_are_truncated_unread(tmp_path: Path) -> None:
    fill(tmp_path / "c", [f"{i}.png" for i in range(5)])
    (tmp_path / "c" / "4.png").write_text("not an image")
    seen = videos.read(tmp_path / "c", max_frames=4, truncate=True)
    assert (seen.luma[:, 0, 0].tolist(), seen.truncated) == ([0, 10, 20, 30], True)
    seen = videos.read(tmp_path / "c", max_frames=2, truncate=True, span=(0.04, 0.12))
    assert (seen.luma[:, 0, 0].tolist(), seen.truncated) == ([10, 20], False)


def test_gray_cmyk_and_rotated_images(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    upright = Image.new("L", (16, 12), 100)
    upright.putpixel((0, 0), 255)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn clockwise to see it upright
    upright.save(tmp_path / "c" / "1.png")
    turned.save(tmp_path / "c" / "2.png", exif=exif)
    np.testing.assert_array_equal(*videos.read(tmp_path / "c").luma)
    Image.new("CMYK", (16, 12), (0, 0, 0, 155)).save(tmp_path / "c" / "3.jpg")
    np.testing.assert_allclose(videos.read(tmp_path / "c").luma[2], 100, atol=1)


def test_a_directory_in_color(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12), (200, 40, 30)).save(tmp_path / "a2.png")
    Image.new("L", (16, 12), 90).save(tmp_path / "a10.png")
    seen = np.stack(list(decode.read_color(tmp_path)))
    assert (seen.shape, seen[:, 0, 0].tolist()) == ((2, 12, 16, 3), [[200, 40, 30], [90, 90, 90]])


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "c", ["1.png", "2.png"])
    fill(tmp_path / "c", ["3.png"], size=(16, 14))
    reject(tmp_path / "c", Reason.UNREADABLE, "3.png: 16x14 .* 16x12")


@pytest.mark.parametrize(("width", "match"), [(8001, "8001x8000 .* 64 megapixels"), (60_000, "decompression bomb")])
def test_huge_sizes_are_refused_by_the_header(tmp_path: Path, width: int, match: str) -> None:
    fill(tmp_path / "c", ["1.bmp"])
    data = (tmp_path / "c" / "1.bmp").read_bytes()
    (tmp_path / "c" / "1.bmp").write_bytes(data[:18] + struct.pack("<ii", width, 8000) + data[26:])
    reject(tmp_path / "c", Reason.UNREADABLE, match)


def test_images_that_cannot_be_read(tmp_path: Path) -> None:
    directory = tmp_path / "c"
    directory.mkdir()
    reject(directory, Reason.NO_VIDEO, "want .jpg")
    (directory / "1.jpg").write_text("not an image")
    reject(directory, Reason.UNREADABLE, "1.jpg: .*neither JPEG, PNG nor BMP")
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "jpeg")
    (directory / "1.jpg").write_bytes(whole.getvalue()[:1000])
    reject(directory, Reason.UNREADABLE, "1.jpg: .*truncated")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(directory / "1.png")
    (directory / "1.jpg").unlink()
    reject(directory, Reason.UNREADABLE, "1.png: .*I;16.* 8 bits")
    (directory / "1.png").unlink()
    os.mkfifo(directory / "1.png")
    reject(directory, Reason.UNREADABLE, "1.png: neither a regular file nor")
    (directory / "1.png").unlink()
    (directory / "1.png").mkdir()
    reject(directory, Reason.UNREADABLE, "1.png: .*directory")


@pytest.mark.usefixtures("mortal")
def test_a_directory_that_cannot_be_listed(tmp_path: Path) -> None:
    fill(tmp_path / "c", ["1.png"])
    (tmp_path / "c").chmod(0o300)
    reject(tmp_path / "c", Reason.UNREADABLE, r"/c: cannot be listed \(Permission denied\)")
    (tmp_path / "c").chmod(0o700)
