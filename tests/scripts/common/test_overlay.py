import dataclasses
import itertools
from pathlib import Path

import av
import numpy as np

from pipeline.mouth.cropping import Crops
from pipeline.video import decode
from scripts.common import overlay, subtitles
from scripts.common.subtitles import Word
from tests import datasets

BOX = np.array([(20, 30), (60, 30), (60, 70), (20, 70)], np.float32)
WORDS = (Word("bin", 0.2, 0.28, 0.9), Word("blue", 0.4, 0.44, 0.9))


def _crops(frames: int) -> Crops:
    return Crops(np.zeros([frames, 112, 112], np.uint8), np.arange(frames) != 2, np.tile(BOX, (frames, 1, 1)))


def _drawn(frames: int, side: int = 91, begins: float = 0.0) -> list[np.ndarray]:
    gray = np.full([frames, side, side, 3], 100, np.uint8)
    seconds = [begins + k / 25 for k in range(frames)]
    return [np.asarray(page) for page in overlay.drawn(gray, [_crops(frames)], subtitles.lines(WORDS), seconds)]


def _has(page: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((page == colour).all(-1).any())


def _colours(page: np.ndarray) -> tuple[bool, bool]:
    """Whether there is yellow, and whether there is gray writing below the picture, whose edges are soft."""
    red, blue = page[91:, :, 0].astype(int), page[91:, :, 2].astype(int)
    return bool((red - blue > 60).any()), bool(((red > 80) & (red - blue < 20)).any())


def test_the_box_is_drawn_and_the_rest_is_the_picture() -> None:
    page = _drawn(3)[0]
    assert page.shape[0] % 2 == page.shape[1] % 2 == 0
    drawn = (page[:91, :91] != 100).any(-1)
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 70, 20, 60)
    assert not drawn[32:69, 22:59].any()


def test_a_bridged_frame_has_another_colour() -> None:
    assert [(_has(page, overlay.FOUND), _has(page, overlay.LOST)) for page in _drawn(4)] == [
        (True, False),
        (True, False),
        (False, True),
        (True, False),
    ]


def test_there_is_no_box_outside_of_the_stretches() -> None:
    stretches = [dataclasses.replace(_crops(2), start=1), dataclasses.replace(_crops(2), start=4)]
    gray = np.full([7, 91, 91, 3], 100, np.uint8)
    pages = [np.asarray(page) for page in overlay.drawn(gray, stretches, [], itertools.count())]
    assert [_has(page, overlay.FOUND) for page in pages] == [False, True, True, False, True, True, False]


def test_words_come_at_their_times_below_the_picture() -> None:
    pages = _drawn(30)
    ink = [(page[91:] != overlay.BAND).any(-1).sum() for page in pages]
    assert [k for k in range(1, 30) if ink[k] != ink[k - 1]] == [5, 10]
    assert ink[4] == 0 < ink[5] < ink[10] == ink[29]
    yellow, gray = zip(*map(_colours, pages), strict=True)
    assert [k for k in range(30) if yellow[k]] == list(range(5, 30))
    assert [k for k in range(30) if gray[k]] == list(range(10, 30))
    assert (_drawn(1, begins=5.0)[0][91:] == overlay.BAND).all()  # the line has gone


def test_a_long_line_is_written_small() -> None:
    words = tuple(Word("mmmmm", k / 10, k / 10 + 0.1, 0.9) for k in range(7))
    gray = np.full([1, 90, 200, 3], 100, np.uint8)
    (page,) = overlay.drawn(gray, [_crops(1)], subtitles.lines(words), [0.65])
    columns = np.flatnonzero((np.asarray(page)[90:] != overlay.BAND).any((0, 2)))
    assert 4 <= columns[0] <= 12
    assert 188 <= columns[-1] < 196


def test_the_file_shows_every_frame(tmp_path: Path) -> None:
    datasets.write_video(tmp_path / "a.mp4", datasets.pixels(9, seed=1, side=96))
    overlay.write(tmp_path / "a.mp4", [_crops(9)], WORDS, 25.0, 0.0, tmp_path / "seen.mp4")
    with av.open(str(tmp_path / "seen.mp4")) as container:
        stream = container.streams.video[0]
        pages = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.average_rate, len(pages)) == ("h264", 25, 9)
    for page, picture in zip(pages, decode.read_color(tmp_path / "a.mp4"), strict=True):
        np.testing.assert_allclose(page[75:95, 5:90], picture[75:95, 5:90], atol=12)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "seen.mp4"}
