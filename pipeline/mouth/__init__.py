"""Tracks the mouth in gray frames and crops it to 112x112 pixels.

May import `pipeline.video` and above.
Offers `crop`, `settings.CropSettings`, `cropping.MouthCropper`, `cropping.Crops`, `doubt.Doubt`.
"""

from pathlib import Path

from pipeline.mouth.cropping import Crops, MouthCropper
from pipeline.mouth.settings import FACE, CropSettings
from pipeline.video import decode


def crop(path: str | Path, settings: CropSettings = FACE, *, fps: float = 25.0, max_frames: int | None = None) -> Crops:
    """Crops the mouth out of a whole video, as a conversion with the same settings does.

    Args:
      path: a video file, or a directory of jpg, png or bmp images of one size.
      settings: which part of a picture becomes the crop; by default the mouth is tracked.
      fps: frames a second to crop; a video of another rate is sampled. Images are shown at this rate.
      max_frames: the maximal number of frames; None for no limit. A frame takes 12.5 KB of memory.

    Returns:
      `frames`, uint8 [F, 112, 112]; `tracked`, bool [F]; `corners` of the crop in the picture, float32 [F, 4, 2]; and
      `doubt`. Frame k is shown k / `fps` seconds after the first picture.

    Raises:
      ClipError: its `reason` is UNREADABLE, NO_VIDEO, TRUNCATED or TOO_LONG, as of `decode.opened`; NO_FACE, or
        FACE_LOST where the face is lost for more than `settings.max_gap` frames or another one follows.
      ValueError: `fps` is out of range.
    """
    with decode.opened(path, fps=fps, max_frames=max_frames) as video:
        (crops,) = MouthCropper(settings)(video)
    return crops
