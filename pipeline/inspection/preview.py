"""Draws contact sheets: the lip frames of clips in rows, with their words below."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.records.directory import DatasetDir
from pipeline.schema import CROP, Clip

COLUMNS = 15
MAX_HEIGHT = 16_000  # pixels of a contact sheet; image formats and viewers have limits
TEXT_HEIGHT = 16
BACKGROUND, INK, PALE = (255, 255, 255), (20, 20, 20), (110, 110, 110)
WORD, LOST = (20, 90, 170), (200, 30, 30)


def sample(dataset: DatasetDir, max_clips: int, seed: int) -> list[int]:
    """The index rows of up to `max_clips` clips, sampled without replacement by `seed`."""
    return np.random.default_rng(seed).permutation(len(dataset.index))[:max_clips].tolist()


def contact_sheet(clips: list[Clip], scale: float = 0.75) -> Image.Image:
    """Draws the frames of every clip with its word below; a red bar marks interpolated frames.

    Of many clips every second, third, ... frame is drawn, so that the sheet is no higher than `MAX_HEIGHT`.

    Args:
      clips: at least one.
      scale: size of a drawn frame relative to 112 pixels.

    Returns:
      An RGB image, 15 frames wide.
    """
    step = _step(clips, scale)
    drawn = ((title([_described(clip, step)], scale), strip(clip, scale, step)) for clip in clips)
    return stacked([part for pair in drawn for part in pair])


def _step(clips: list[Clip], scale: float) -> int:
    """The least step between drawn frames at which a sheet is not too high, or shows one row a clip."""

    def height(step: int) -> int:
        rows = sum(-(-len(clip.frames) // (step * COLUMNS)) for clip in clips)
        return rows * (_side(scale) + TEXT_HEIGHT) + len(clips) * 2 * TEXT_HEIGHT

    steps = range(1, max(len(clip.frames) for clip in clips) + 1)
    return next((step for step in steps if height(step) <= MAX_HEIGHT), steps[-1])


def stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """Stacks images, at least one, vertically."""
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), BACKGROUND)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def strip(clip: Clip, scale: float = 0.75, step: int = 1) -> Image.Image:
    """Draws every `step`-th frame of a clip, as in `contact_sheet`, without its title.

    A frame that represents others has the red bar if one of them was interpolated, and their first word.
    """
    size, shown = _side(scale), range(0, len(clip.frames), step)
    rows = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * size, rows * (size + TEXT_HEIGHT)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for place, number in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        left, top = column * size, row * (size + TEXT_HEIGHT)
        frame = Image.fromarray(clip.frames[number])
        sheet.paste(frame.resize((size, size), Image.Resampling.BILINEAR), (left, top))
        if not clip.tracked[number : number + step].all():
            draw.rectangle((left, top, left + size - 1, top + 3), LOST)
        _label(draw, clip, range(number, number + step), (left, top + size))
    return sheet


def _side(scale: float) -> int:
    return max(1, round(CROP * scale))


def title(lines: Sequence[str], scale: float = 0.75) -> Image.Image:
    """Draws lines of text as the title of a strip of the same `scale`; long lines are truncated."""
    picture = Image.new("RGB", (COLUMNS * _side(scale), (1 + len(lines)) * TEXT_HEIGHT), BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, line in enumerate(lines, 1):
        draw.text((4, number * TEXT_HEIGHT - 6), line, INK, font)
    return picture


def _described(clip: Clip, step: int) -> str:
    doubt = f", in doubt: {clip.doubt_cause}" if clip.doubt_cause else ""
    part = f"; one frame of {step} is shown" if step > 1 else ""
    return f"{clip.id}   “{clip.text}”   {len(clip.frames)} frames, {int(clip.tracked.sum())} tracked{doubt}{part}"


def _label(draw: ImageDraw.ImageDraw, clip: Clip, frames: range, corner: tuple[int, int]) -> None:
    """Writes a word below its first frame, a dot below its others, and the number of a frame without a word."""
    font, at = ImageFont.load_default(11), (corner[0] + 2, corner[1] + 1)
    spoken = [word for word in clip.words if word.start < frames.stop and frames.start < word.stop]
    begun = [word for word in spoken if word.start in frames]
    if spoken:
        draw.text(at, begun[0].text if begun else "·", WORD, font)
    else:
        draw.text(at, str(frames.start), PALE, font)
