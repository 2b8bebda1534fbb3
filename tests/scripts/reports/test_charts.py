import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from scripts.reports import charts

SVG = "{http://www.w3.org/2000/svg}"


def bars(drawing: str) -> list[float]:
    """The heights of the blue bars, in points, left to right."""
    found = []
    for path in ElementTree.fromstring(drawing).iter(f"{SVG}path"):
        if charts.BLUE in path.get("style", ""):
            heights = [float(y) for y in re.findall(r"[ML] [\d.-]+ ([\d.-]+)", path.get("d"))]
            found.append(max(heights) - min(heights))
    return found


def test_bars_are_as_high_as_their_counts() -> None:
    heights = bars(charts.histogram(np.array([3, 4, 4, 4, 6]), "frames", "clips"))
    np.testing.assert_allclose(np.array(heights) / max(heights), [1 / 3, 1, 0, 1 / 3], atol=1e-4)


@pytest.mark.parametrize(
    ("values", "count"),
    [([75], 1), ([5, 44], 40), ([5, 45], 21), ([0, 100_000], 40)],
    ids=["one", "forty", "one more", "very wide"],
)
def test_wide_ranges_fall_into_few_bars(values: list[int], count: int) -> None:
    heights = bars(charts.histogram(np.array(values), "frames", "clips"))
    assert len(heights) == count
    assert heights[0] == heights[-1] > 0


def test_shares_fall_into_twentieths() -> None:
    heights = bars(charts.shares(np.array([0.0, 0.05, 0.5, 0.97, 1.0, 1.0]), "%", "clips"))
    assert [place for place, height in enumerate(heights) if height] == [0, 1, 10, 19]
    assert heights[19] > heights[0] > 0


def points(drawing: str) -> list[tuple[float, float]]:
    """The blue points of a drawing, x and y (downward), left to right."""
    marks = [mark for mark in ElementTree.fromstring(drawing).iter(f"{SVG}use") if charts.BLUE in mark.get("style", "")]
    return sorted((float(mark.get("x")), float(mark.get("y"))) for mark in marks)


def test_every_rank_has_its_point() -> None:
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = points(charts.ranks(np.array([100, 10, 10, 1]), "rank", "said"))
    np.testing.assert_allclose([x3 - x1, x4 - x1], np.log([3, 4]) / np.log(2) * (x2 - x1), rtol=1e-4)
    assert y2 == y3
    np.testing.assert_allclose([y2 - y1, y4 - y1], [y2 - y1, 2 * (y2 - y1)], rtol=1e-4)
    assert y2 > y1


def test_many_ranks_have_few_points() -> None:
    marks = points(charts.ranks(np.arange(100_000, 0, -1), "rank", "said"))
    assert 100 < len(marks) <= charts.MAX_POINTS
    assert (marks[0][1], marks[-1][1]) == (min(y for _, y in marks), max(y for _, y in marks))


def shades(drawing: str) -> list[float]:
    """Of each cell of a matrix, row by row, how dark it is, 0 to 1."""
    found = []
    for path in ElementTree.fromstring(drawing).iter(f"{SVG}path"):
        fill = re.search(r"fill: #(\w{6}); stroke: #ffffff", path.get("style", ""))
        if fill:
            found.append(1 - sum(bytes.fromhex(fill[1])) / (3 * 255))
    return found


def test_a_matrix_has_shades_by_the_shares_of_a_row() -> None:
    drawing = charts.matrix(np.array([[8, 2], [0, 0], [30, 30]]), ["a", "$b$", "c"], ["x", "y"], "read", "said")
    full, few, none, nothing, half, other = shades(drawing)
    assert full > half == other > few > none == nothing
    assert charts.matrix(np.array([[1]]), ["a"], ["b"], "c", "d") == charts.matrix(
        np.array([[1]]), ["a"], ["b"], "c", "d"
    )


def cell(pixels: np.ndarray, share: float) -> tuple[float, float]:
    """The middle (row, column) of the one cell that is shaded as this share of its row."""
    colour = 255 * np.array(mpl.colormaps["Blues"](share)[:3])
    rows, columns = np.nonzero((abs(pixels - colour) < 2).all(-1))
    assert 27 * 27 < len(rows) < 60 * 60  # larger than 0.27 inches, as such short names leave room
    return float(np.median(rows)), float(np.median(columns))  # a pixel on the edge of a letter may have it too


def test_a_matrix_in_pixels_has_the_cells_of_the_drawing() -> None:
    given = (np.array([[16, 4], [7, 3]]), ["a", "$b$"], ["x", "y"], "read", "said")
    pixels = charts.matrix_pixels(*given)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (144, 144, 3))  # 0.9 + 2 * 0.27 inches
    assert (pixels[0, 0] == 255).all()
    first, second, third, fourth = (cell(pixels, share) for share in (0.8, 0.2, 0.7, 0.3))
    np.testing.assert_allclose([first[0], third[0]], [second[0], fourth[0]], atol=1)
    np.testing.assert_allclose([first[1], second[1]], [third[1], fourth[1]], atol=1)
    assert third[0] - first[0] == pytest.approx(second[1] - first[1], abs=1)
    assert second[1] - first[1] > 27
    np.testing.assert_array_equal(charts.matrix_pixels(*given), pixels)


@pytest.mark.parametrize("draw", [charts.histogram, charts.ranks, charts.shares])
def test_the_same_numbers_give_the_same_bytes(draw: object) -> None:
    drawings = {draw(np.array([1, 1, 0.5]) if draw is charts.shares else np.array([3, 2, 1]), "a", "b") for _ in "ab"}
    assert len(drawings) == 1
    assert not re.search(r"<metadata>|dc:date|[Mm]atplotlib v", drawings.pop())
