import dataclasses

import numpy as np

from pipeline import preview
from tests import datasets


def test_frames_stand_in_rows_of_fifteen_with_the_lost_ones_marked() -> None:
    clip = datasets.clip("s1/a", 17)
    sheet = preview.contact_sheet([clip], scale=1.0)
    assert (sheet.mode, sheet.size) == ("RGB", (15 * 112, 2 * 16 + 2 * (112 + 16)))
    picture = np.asarray(sheet)
    top = 2 * 16 - 8
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
