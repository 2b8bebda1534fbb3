"""A corpus that needs no data: drawn faces say GRID's sentences, in real video files, laid out as GRID is."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.schema import DataError
from pipeline.synthetic.face import Identity, Light
from pipeline.synthetic.head import Actor, Pose, paint_stage
from pipeline.synthetic.visemes import SENTENCES, WORDS, Speech, mouths, speak

SETTINGS = "synthetic.json"  # below the corpus root: what it was rendered from
ALIGN_UNITS = 25_000  # a second, in GRID's alignments
ENCODER = {"preset": "ultrafast", "crf": "22"}


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What to render.

    Attributes:
      clips: videos in all, dealt to the speakers in turn.
      speakers: faces.
      seed: of everything random.
      fps: frames a second; GRID's alignments need a divisor of 25000.
      width: pixels, even.
      height: pixels, even.
      word_seconds: mean length of a word; the default makes clips of about 2 s.
    """

    clips: int = 400
    speakers: int = 4
    seed: int = 0
    fps: int = 25
    width: int = 360
    height: int = 288
    word_seconds: float = 0.26

    def __post_init__(self) -> None:
        most = SENTENCES * max(self.speakers, 1)
        rules = (
            ("speakers", self.speakers >= 1, "at least 1"),
            ("clips", 1 <= self.clips <= most, f"1 to {SENTENCES} a speaker, {most} in all"),
            ("clips", self.clips >= self.speakers, f"at least one for each of the {self.speakers} speakers"),
            ("seed", self.seed >= 0, "0 or more"),
            ("fps", 15 <= self.fps <= 60 and ALIGN_UNITS % self.fps == 0, "20, 25, 40 or 50"),
            ("width", 176 <= self.width <= 1920 and self.width % 2 == 0, "an even number from 176 to 1920"),
            (
                "height",
                144 <= self.height <= 1080 and self.height % 2 == 0,
                "an even number from 144 to 1080",
            ),
            ("word_seconds", 0.2 <= self.word_seconds <= 1.0, "from 0.2 to 1.0"),
        )
        for field, holds, rule in rules:
            if not holds:
                raise ValueError(f"{field}: want {rule}, got {getattr(self, field)!r}")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A clip to be rendered.

    Attributes:
      speaker: counted from 1, as GRID does.
      code: the sentence as GRID's file names spell it, such as `bbaf2n`.
    """

    speaker: int
    code: str

    @property
    def video(self) -> Path:
        """Below the corpus root."""
        return Path(f"s{self.speaker}") / f"{self.code}.mp4"

    @property
    def alignment(self) -> Path:
        """Below the corpus root."""
        return Path("alignments") / f"s{self.speaker}" / f"{self.code}.align"


def utterances(config: SyntheticConfig) -> list[Utterance]:
    """The clips of a corpus, speaker by speaker; no speaker says a sentence twice."""
    codes = ["".join(code) for code in itertools.product(*WORDS)]
    return [
        Utterance(speaker, codes[sentence])
        for speaker in range(1, config.speakers + 1)
        for sentence in _rng(config, speaker, 1).permutation(SENTENCES)[: _share(config, speaker)]
    ]


def begin(root: Path, config: SyntheticConfig) -> list[Utterance]:
    """Claims a directory for a corpus and returns the clips to render into it, in any order, with `render_clip`.

    Raises:
      DataError: `root` holds another corpus, or something else.
    """
    root.mkdir(parents=True, exist_ok=True)
    claim, settings = root / SETTINGS, json.dumps(dataclasses.asdict(config), indent=1) + "\n"
    if claim.is_file() and claim.read_text() == settings:
        return utterances(config)
    if any(root.iterdir()):
        raise DataError(f"{root}: holds something else than this corpus; remove it or name another directory")
    _write_whole(claim, lambda path: path.write_text(settings))
    return utterances(config)


def render(root: Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders a corpus, a clip at each step of the iterator.

    Writes `s1/bbaf2n.mp4` (H.264) and `alignments/s1/bbaf2n.align` below `root`. A clip that is there is
    rendered again, to the same bytes.

    Args:
      root: an empty or missing directory, or one where this very corpus was begun.
      config: what to render.

    Yields:
      The path of each video once it is whole and has its alignment beside it.

    Raises:
      DataError: as `begin`.
    """
    for clip in begin(root, config):
        render_clip(root, config, clip)
        yield root / clip.video


def render_clip(root: Path, config: SyntheticConfig, clip: Utterance) -> None:
    """Renders one clip; the video comes last, whole or not at all."""
    take = act(config, clip)
    write_text(root / clip.alignment, _align(take.speech, config.fps))
    write_video(root / clip.video, film(take, config), config)


@dataclasses.dataclass(frozen=True)
class Take:
    """A clip before the camera: who says what, and what varies the rest."""

    identity: Identity
    speech: Speech
    rng: np.random.Generator


def act(config: SyntheticConfig, clip: Utterance) -> Take:
    """The take of a clip, the same one whenever it is asked for; `film` uses it up."""
    habit = _rng(config, clip.speaker, 2)
    rng = _rng(config, clip.speaker, 3, int(clip.code, 36))
    identity = Identity.draw(habit)
    return Take(identity, speak(clip.code, config.word_seconds * config.fps * habit.uniform(0.93, 1.07), rng), rng)


def _share(config: SyntheticConfig, speaker: int) -> int:
    """How many clips a speaker gets: the first ones get what the division leaves."""
    return (config.clips + config.speakers - speaker) // config.speakers


def _rng(config: SyntheticConfig, *what: int) -> np.random.Generator:
    return np.random.default_rng((config.seed, *what))


def _align(speech: Speech, fps: int) -> str:
    unit = ALIGN_UNITS // fps
    return "".join(f"{start * unit} {stop * unit} {word}\n" for word, start, stop in speech.words)


def film(take: Take, config: SyntheticConfig, still: Pose | None = None) -> Iterator[np.ndarray]:
    """Yields the frames of a clip, planar YUV 4:2:0, uint8 `[1.5 * height, width]`; the head sways or is `still`."""
    identity, speech, rng = take.identity, take.speech, take.rng
    light = Light(side=rng.uniform(-0.6, 0.6), above=rng.uniform(0.1, 0.6), gain=rng.uniform(0.85, 1.1))
    poses = _sway(speech.frames, config, rng) if still is None else [still] * speech.frames
    blinks = _blinks(speech.frames, config.fps, rng)
    size = (config.height, config.width)
    stage = paint_stage(identity, poses[0], size, rng)
    actor = Actor(identity, light, stage)
    reformatter = VideoReformatter()  # one for all frames: making it costs more than its work
    grain = rng.normal(0, rng.uniform(0.5, 2), np.add(size, 32)).round().astype(np.int16)
    for mouth, pose, blink in zip(mouths(speech, config.fps), poses, blinks, strict=True):
        colour = av.VideoFrame.from_ndarray(actor.frame(mouth, pose, blink), format="rgba")
        planes = reformatter.reformat(colour, format="yuv420p", threads=1).to_ndarray()
        down, right = rng.integers(0, 32, 2)
        noise = grain[down : down + config.height, right : right + config.width]
        planes[: config.height] = np.clip(planes[: config.height] + noise, 0, 255)  # the luma
        yield planes


def _sway(frames: int, config: SyntheticConfig, rng: np.random.Generator) -> list[Pose]:
    """A head that moves a little: two slow waves in each coordinate."""
    size = min(config.width / 360, config.height / 288)
    middle = np.array((config.width / 2, config.height * 0.44, size * rng.uniform(0.74, 0.90), 0.0))
    middle += rng.uniform(-1, 1, 4) * (24 * size, 8 * size, 0, 0.08)
    reach = np.array((4 * size, 2.5 * size, 0.012 * size, 0.035))
    seconds = np.arange(frames)[:, None, None] / config.fps
    phase = 2 * np.pi * (rng.uniform(0.15, 0.6, (4, 2)) * seconds + rng.random((4, 2)))  # [F, 4, 2]
    return [Pose(*row) for row in (middle + reach * np.sin(phase).mean(axis=2)).tolist()]


def _blinks(frames: int, fps: int, rng: np.random.Generator) -> np.ndarray:
    """How far the eyes are shut in each frame, `[F]`: one blink of a quarter second somewhere."""
    away = np.abs(np.arange(frames) - rng.uniform(0, frames)) / fps
    return np.clip(1.5 - away / 0.08, 0, 1)


def write_video(path: Path, frames: Iterable[np.ndarray], config: SyntheticConfig) -> None:
    """Writes the frames that `film` yields as H.264, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, lambda part: _encode(part, frames, config))


def write_text(path: Path, text: str) -> None:
    """Writes a label file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def _encode(path: Path, frames: Iterable[np.ndarray], config: SyntheticConfig) -> None:
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=config.fps, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        stream.codec_context.thread_count = 1  # slices, and so bytes, depend on it
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
        container.mux(stream.encode(None))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` write to a hidden name and renames it, so that `path` is never half a file."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    part.replace(path)
