"""A clip as a picture: its lip frames in rows, the words under them."""

from PIL import Image, ImageDraw, ImageFont

from pipeline.schema import CROP, Clip

COLUMNS = 15
TEXT_HEIGHT = 16
BACKGROUND, INK, WORD, LOST = (255, 255, 255), (20, 20, 20), (20, 90, 170), (200, 30, 30)


def contact_sheet(clips: list[Clip], scale: float = 0.75) -> Image.Image:
    """Every frame of every clip, with the frame's word under it; a red bar marks frames that were interpolated.

    Args:
      clips: at least one.
      scale: size of a frame's picture against its 112 pixels.

    Returns:
      An RGB picture, 15 frames wide.
    """
    parts = [_sheet(clip, max(1, round(CROP * scale))) for clip in clips]
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), BACKGROUND)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def _sheet(clip: Clip, size: int) -> Image.Image:
    rows = -(-len(clip.frames) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * size, 2 * TEXT_HEIGHT + rows * (size + TEXT_HEIGHT)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    title = f"{clip.id}   “{clip.text}”   {len(clip.frames)} frames, {int(clip.tracked.sum())} tracked"
    draw.text((4, 2), title, INK, ImageFont.load_default(13))
    for number, frame in enumerate(clip.frames):
        row, column = divmod(number, COLUMNS)
        left, top = column * size, 2 * TEXT_HEIGHT - 8 + row * (size + TEXT_HEIGHT)
        sheet.paste(Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR), (left, top))
        if not clip.tracked[number]:
            draw.rectangle((left, top, left + size - 1, top + 3), LOST)
        _label(draw, clip, number, (left, top + size))
    return sheet


def _label(draw: ImageDraw.ImageDraw, clip: Clip, number: int, corner: tuple[int, int]) -> None:
    font = ImageFont.load_default(11)
    spoken = next((word for word in clip.words if word.start <= number < word.stop), None)
    if spoken is None:
        draw.text((corner[0] + 2, corner[1] + 1), str(number), (170, 170, 170), font)
    else:
        draw.text((corner[0] + 2, corner[1] + 1), spoken.text if number == spoken.start else "·", WORD, font)
