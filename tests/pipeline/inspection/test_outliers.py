import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.inspection import outliers
from pipeline.inspection.outliers import Outlier
from pipeline.records.directory import DatasetDir
from pipeline.schema import CROP, Clip
from tests import datasets

USUAL = 25  # clips like each other


def _clip(number: int, right: int = 0, down: int = 0, brighter: int = 0) -> Clip:
    """A clip of a dark, flat mouth before a bright slope."""
    y, x = np.mgrid[:CROP, :CROP]
    mouth = ((x - 56 - right) / 20) ** 2 + ((y - 56 - down) / 8) ** 2 < 1
    frames = np.repeat((120 + y // 4 + brighter - 60 * mouth).astype(np.uint8)[None], 3, axis=0)
    return dataclasses.replace(datasets.clip(f"s1/c{number:02}", 3, words=()), frames=frames)


def _dataset(root: Path, *odd: Clip) -> DatasetDir:
    return datasets.write_dataset(root, {"train": [[*(_clip(n) for n in range(USUAL)), *odd]]})


def test_displaced_mouths_and_other_light_are_found(tmp_path: Path) -> None:
    odd = [_clip(90, right=9), _clip(91, down=-7), _clip(92, brighter=50), _clip(93, right=-2), _clip(94, right=20)]
    data = _dataset(tmp_path, *odd)
    measured = outliers.measure(data, range(len(data.index)))
    assert measured.values[25:, 1:].tolist() == [[9, 0], [0, -7], [0, 0], [-2, 0], [20, 0]]
    np.testing.assert_allclose(measured.values[:, 0], [clip.frames.mean() for clip in [_clip(0)] * 25 + odd], rtol=1e-6)
    found = outliers.find(measured)
    assert [(data.index.id[each.record], each.measure) for each in found] == [
        ("s1/c92", "brightness"),
        ("s1/c94", "mouth to the right"),
        ("s1/c90", "mouth to the right"),
        ("s1/c91", "mouth lower"),
    ]
    assert found[1:] == [
        Outlier(29, "mouth to the right", 20.0, 0.0),
        Outlier(25, "mouth to the right", 9.0, 0.0),
        Outlier(26, "mouth lower", -7.0, 0.0),
    ]
    assert outliers.farthest(found, 1) == [27, 29, 26]


def test_a_clip_far_in_two_measures_is_shown_once(tmp_path: Path) -> None:
    data = _dataset(tmp_path, _clip(90, right=9, brighter=50))
    found = outliers.find(outliers.measure(data, range(len(data.index))))
    assert [each.record for each in found] == [25, 25]
    assert outliers.farthest(found, 4) == [25]


@pytest.mark.parametrize("count", [0, 1, 19])
def test_few_clips_have_no_outliers(tmp_path: Path, count: int) -> None:
    data = _dataset(tmp_path, _clip(90, right=9))
    measured = outliers.measure(data, [25, *range(count - 1)][:count])
    assert measured.values.shape == (count, 3)
    assert outliers.find(measured) == []
