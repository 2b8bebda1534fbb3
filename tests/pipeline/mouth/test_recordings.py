"""Small videos that once gave wrong crops without a word: their stretches, untracked frames and doubt."""

from pathlib import Path

import pytest

from pipeline.mouth import doubt
from pipeline.mouth.cropping import MouthCropper
from pipeline.mouth.settings import CropSettings
from pipeline.schema import ClipError, Reason
from pipeline.video import decode


@pytest.fixture
def media(grid_clips: Path) -> Path:
    folder = grid_clips.parent / "recordings" / "failing" / "media"
    if not folder.is_dir():
        pytest.skip("needs a folder `recordings/failing/media` beside LIPFLOW_GRID")
    return folder


@pytest.mark.parametrize(
    ("name", "span", "stretches", "untracked", "causes"),
    [
        ("cut_far.mp4", None, [(0, 37), (37, 38)], 0, ["", ""]),
        ("cut_to_other.mp4", None, [(0, 37), (37, 38)], 0, ["", ""]),
        ("shot_cut.mp4", None, [(0, 38), (38, 37)], 0, ["", ""]),
        ("leaves_poster.mp4", None, [(0, 30), (30, 45)], 0, ["", doubt.STILL]),
        ("flash_3.mp4", None, [(0, 75)], 3, [""]),
        ("flash_switches_person.mp4", None, [(0, 75)], 1, [""]),
        ("mouth_below_edge.mp4", None, [], 0, []),
        ("rect_mouth.mp4", None, [(0, 75)], 0, [doubt.HIDDEN]),
        ("masked.mp4", None, [(0, 75)], 0, [doubt.HIDDEN]),
        ("backlight.mp4", None, [(0, 75)], 0, [doubt.FLAT]),
        ("upside_nometa.mp4", None, [(0, 75)], 0, [doubt.TURNED]),
        ("interlaced.mpg", None, [(0, 75)], 0, [doubt.UNSTEADY]),
        ("fade_in.mp4", None, [(10, 65)], 0, [""]),
        ("raw.h264", (11.0, 13.0), [(0, 50)], 0, [""]),
        ("raw.h264", None, [(0, 600)], 0, [""]),
    ],
)
def test_a_video(
    media: Path,
    name: str,
    span: tuple[float, float] | None,
    stretches: list[tuple[int, int]],
    untracked: int,
    causes: list[str],
) -> None:
    """Stretches as (start, length); the crops of fewer than all frames are refused unless the clip is split."""
    with decode.opened(media / name, span=span) as video:
        frames = list(video)
    if not stretches:
        with pytest.raises(ClipError) as error:
            MouthCropper(CropSettings(), "split")(frames)
        assert error.value.reason is Reason.NO_FACE
        return
    found = MouthCropper(CropSettings(), "split")(frames)
    assert [(crops.start, len(crops.frames)) for crops in found] == stretches
    assert sum(int((~crops.tracked).sum()) for crops in found) == untracked
    assert [crops.doubt.cause for crops in found] == causes
    if stretches != [(0, len(frames))]:
        with pytest.raises(ClipError) as error:
            MouthCropper(CropSettings())(frames)
        assert error.value.reason is Reason.FACE_LOST
