import dataclasses
from collections.abc import Callable

import numpy as np

from pipeline.inspection import preview
from pipeline.records.directory import DatasetDir
from pipeline.schema import Word
from tests import datasets


def test_frames_stand_in_rows_of_fifteen_with_the_lost_ones_marked() -> None:
    clip = datasets.clip("s1/a", 17)
    sheet = preview.contact_sheet([clip], scale=1.0)
    assert (sheet.mode, sheet.size) == ("RGB", (15 * 112, 2 * 16 + 2 * (112 + 16)))
    picture = np.asarray(sheet)
    top = 2 * 16
    for number, frame in enumerate(clip.frames):
        row, column = divmod(number, 15)
        tile = picture[top + row * 128 :, column * 112 :][:112, :112]
        np.testing.assert_array_equal(tile[4:], np.repeat(frame[4:, :, None], 3, axis=2))
        assert (tile[:4] == preview.LOST).all() == (number == 3)


def test_clips_stand_below_each_other_and_words_below_frames() -> None:
    clip = datasets.clip("s1/a", 12)
    one, two = (np.asarray(preview.contact_sheet([clip] * n, scale=0.5)) for n in (1, 2))
    np.testing.assert_array_equal(two, np.concatenate([one, one]))
    wordless = np.asarray(preview.contact_sheet([dataclasses.replace(clip, words=())], scale=0.5))
    assert not np.array_equal(one, wordless)


def test_a_frame_can_stand_for_others() -> None:
    words = (Word("bin", 1, 4), Word("at", 4, 8))
    clip = dataclasses.replace(datasets.clip("s1/a", 17), words=words, tracked=np.arange(17) != 5)
    picture = np.asarray(preview.strip(clip, 1.0, step=2))
    assert picture.shape == (112 + 16, 15 * 112, 3)
    for place, number in enumerate(range(0, 17, 2)):
        tile = picture[:112, place * 112 :][:, :112]
        np.testing.assert_array_equal(tile[4:], np.repeat(clip.frames[number, 4:, :, None], 3, axis=2))
        assert (tile[:4] == preview.LOST).all() == (number == 4)
    assert (picture[:, 9 * 112 :] == preview.BACKGROUND).all()


def test_a_word_stands_under_the_frame_it_begins_in() -> None:
    def labels(words: tuple[Word, ...]) -> list[bytes]:
        clip = dataclasses.replace(datasets.clip("s1/a", 12), words=words)
        picture = np.asarray(preview.strip(clip, 1.0, step=2))
        return [picture[112:, place * 112 :][:, :112].tobytes() for place in range(6)]

    none, begun, even = labels(()), labels((Word("bin", 3, 7),)), labels((Word("bin", 2, 7),))
    assert begun == even
    assert [one == other for one, other in zip(none, begun, strict=True)] == [True, False, False, False, True, True]
    assert begun[2] == begun[3] != begun[1]
    assert labels((Word("bin", 3, 6),))[2:] == [begun[2], *none[3:]]


def test_lines_stand_below_each_other_and_are_cut_at_the_width_of_a_strip() -> None:
    one, two, long = (np.asarray(preview.title(lines, 0.5)) for lines in (["said"], ["said", "read"], ["w" * 999]))
    assert (one.shape, two.shape, long.shape) == ((32, 15 * 56, 3), (48, 15 * 56, 3), (32, 15 * 56, 3))
    np.testing.assert_array_equal(two[:26], one[:26])
    assert (one[26:] < 128).sum() == 0 < (two[26:] < 128).sum()
    assert (long[:, -8:] < 128).any()


def test_a_draw_is_of_different_clips_and_of_its_seed(tiny: Callable[[str], DatasetDir]) -> None:
    assert sorted(preview.sample(tiny("raw"), 99, seed=1)) == list(range(15))
    assert preview.sample(tiny("raw"), 4, seed=1) == preview.sample(tiny("raw"), 9, seed=1)[:4]
    assert preview.sample(tiny("raw"), 9, seed=1) != preview.sample(tiny("raw"), 9, seed=2)


def test_a_sheet_of_many_clips_shows_some_of_their_frames() -> None:
    clips = [datasets.clip(f"s1/c{number}", 75) for number in range(70)]
    assert preview.contact_sheet(clips[:4]).height == 4 * (2 * 16 + 5 * (84 + 16))
    sheet = preview.contact_sheet(clips)
    assert sheet.height == 70 * (2 * 16 + 84 + 16) < preview.MAX_HEIGHT  # every fifth frame, in one row
    assert sheet.width == 15 * 84
