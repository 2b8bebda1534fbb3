"""Renders a corpus of drawn faces that say GRID's sentences: H.264 videos and alignments in GRID's layout."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.corpora.grid import UNITS_PER_SECOND
from pipeline.records import storage
from pipeline.schema import DataError
from pipeline.synthetic.face import Identity, Light
from pipeline.synthetic.head import HeadRenderer, Pose, paint_background
from pipeline.synthetic.visemes import SENTENCES, WORDS, Timeline, mouth_shapes, time_sentence

SETTINGS = "synthetic.json"  # the config, below the corpus root
ENCODER = {"preset": "ultrafast", "crf": "22"}


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What to render.

    Attributes:
      clips: the number of videos, spread evenly over the speakers.
      speakers: the number of faces.
      seed: the seed of everything random.
      fps: frames per second, a divisor of 25000 because of GRID's alignments.
      width: of a frame, in pixels, even.
      height: of a frame, in pixels, even.
      word_seconds: the mean duration of a word; the default makes clips of about 2 s.
    """

    clips: int = 400
    speakers: int = 4
    seed: int = 0
    fps: int = 25
    width: int = 360
    height: int = 288
    word_seconds: float = 0.26

    def __post_init__(self) -> None:
        max_clips = SENTENCES * max(self.speakers, 1)
        rules = (
            ("speakers", self.speakers >= 1, "at least 1"),
            ("clips", 1 <= self.clips <= max_clips, f"1 to {SENTENCES} per speaker, {max_clips} in all"),
            ("clips", self.clips >= self.speakers, f"at least one for each of the {self.speakers} speakers"),
            ("seed", self.seed >= 0, "0 or more"),
            ("fps", 15 <= self.fps <= 60 and UNITS_PER_SECOND % self.fps == 0, "20, 25, 40 or 50"),
            ("width", 176 <= self.width <= 1920 and self.width % 2 == 0, "an even number from 176 to 1920"),
            ("height", 144 <= self.height <= 1080 and self.height % 2 == 0, "an even number from 144 to 1080"),
            ("word_seconds", 0.2 <= self.word_seconds <= 1.0, "from 0.2 to 1.0"),
        )
        for field, holds, rule in rules:
            if not holds:
                raise ValueError(f"{field}: want {rule}, got {getattr(self, field)!r}")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A clip to render: a speaker and a sentence.

    Attributes:
      speaker: counted from 1, as in GRID.
      code: the sentence in the code of GRID's file names, such as `bbaf2n`.
    """

    speaker: int
    code: str

    @property
    def video(self) -> Path:
        """The video's path below the corpus root."""
        return Path(f"s{self.speaker}") / f"{self.code}.mp4"

    @property
    def alignment(self) -> Path:
        """The alignment's path below the corpus root."""
        return Path("alignments") / f"s{self.speaker}" / f"{self.code}.align"


def utterances(config: SyntheticConfig) -> list[Utterance]:
    """Lists the clips of a corpus, speaker by speaker; no speaker repeats a sentence."""
    codes = ["".join(code) for code in itertools.product(*WORDS)]
    clips = []
    for speaker in range(1, config.speakers + 1):
        count = (config.clips - speaker) // config.speakers + 1  # the first speakers get the remainder
        order = _rng(config, speaker, 1).permutation(SENTENCES)[:count]
        clips += [Utterance(speaker, codes[sentence]) for sentence in order]
    return clips


def prepare(root: str | Path, config: SyntheticConfig) -> list[Utterance]:
    """Writes the config into `root` and returns the clips to render there with `render_clip`, in any order.

    Raises:
      DataError: `root` has other files than those of this corpus.
    """
    root = storage.local(root)
    path, settings = root / SETTINGS, json.dumps(dataclasses.asdict(config), indent=1) + "\n"
    if not path.is_file() or path.read_text() != settings:
        if root.exists() and any(root.iterdir()):
            raise DataError(f"{root}: has other files than those of this corpus; remove it or name another directory")
        write_text(path, settings)
    return utterances(config)


def render(root: str | Path, config: SyntheticConfig) -> Iterator[Path]:
    """Renders a corpus: `s1/bbaf2n.mp4` (H.264) and `alignments/s1/bbaf2n.align` below `root`, and so on.

    A clip that exists is rendered again, to the same bytes.

    Args:
      root: an empty or missing directory, or one with an unfinished corpus of the same config.
      config: what to render.

    Yields:
      The path of each video after it and its alignment are written.

    Raises:
      DataError: as `prepare`.
    """
    root = storage.local(root)
    for clip in prepare(root, config):
        render_clip(root, config, clip)
        yield root / clip.video


def render_clip(root: str | Path, config: SyntheticConfig, clip: Utterance) -> None:
    """Renders one clip; the video is written last, so that a video has its alignment."""
    root, scene = storage.local(root), make_scene(config, clip)
    unit = UNITS_PER_SECOND // config.fps
    lines = (f"{start * unit} {stop * unit} {word}\n" for word, start, stop in scene.timeline.words)
    write_text(root / clip.alignment, "".join(lines))
    write_video(root / clip.video, render_frames(scene, config), config)


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a clip shows: a face, the timing of its speech, and the generator that varies the rest."""

    identity: Identity
    timeline: Timeline
    rng: np.random.Generator


def make_scene(config: SyntheticConfig, clip: Utterance) -> Scene:
    """Returns the scene of a clip, a function of its arguments; `render_frames` advances its generator."""
    speaker_rng = _rng(config, clip.speaker, 2)
    rng = _rng(config, clip.speaker, 3, int(clip.code, 36))
    identity = Identity.draw(speaker_rng)
    word_frames = config.word_seconds * config.fps * speaker_rng.uniform(0.93, 1.07)
    return Scene(identity, time_sentence(clip.code, word_frames, rng), rng)


def _rng(config: SyntheticConfig, *key: int) -> np.random.Generator:
    return np.random.default_rng((config.seed, *key))


def render_frames(scene: Scene, config: SyntheticConfig, pose: Pose | None = None) -> Iterator[np.ndarray]:
    """Yields the frames of a clip, planar YUV 4:2:0, uint8 `[1.5 * height, width]`.

    The head keeps `pose`, or sways where it is None.
    """
    identity, timeline, rng = scene.identity, scene.timeline, scene.rng
    light = Light(side=rng.uniform(-0.6, 0.6), above=rng.uniform(0.1, 0.6), gain=rng.uniform(0.85, 1.1))
    poses = _sway(timeline.frames, config, rng) if pose is None else [pose] * timeline.frames
    blinks = _blinks(timeline.frames, config.fps, rng)
    size = (config.height, config.width)
    head = HeadRenderer(identity, light, paint_background(identity, poses[0], size, rng))
    reformatter = VideoReformatter()  # shared, since creating one takes longer than a conversion
    grain = rng.normal(0, rng.uniform(0.5, 2), np.add(size, 32)).round().astype(np.int16)
    for mouth, pose, blink in zip(mouth_shapes(timeline, config.fps), poses, blinks, strict=True):
        rgba = av.VideoFrame.from_ndarray(head.render(mouth, pose, blink), format="rgba")
        planes = reformatter.reformat(rgba, format="yuv420p", threads=1).to_ndarray()
        down, right = rng.integers(0, 32, 2)
        noise = grain[down : down + config.height, right : right + config.width]
        planes[: config.height] = np.clip(planes[: config.height] + noise, 0, 255)  # the luma
        yield planes


def _sway(frames: int, config: SyntheticConfig, rng: np.random.Generator) -> list[Pose]:
    """Poses of a head that moves a little: two slow sine waves in each coordinate."""
    size = min(config.width / 360, config.height / 288)
    middle = np.array((config.width / 2, config.height * 0.44, size * rng.uniform(0.74, 0.90), 0.0))
    middle += rng.uniform(-1, 1, 4) * (24 * size, 8 * size, 0, 0.08)
    reach = np.array((4 * size, 2.5 * size, 0.012 * size, 0.035))
    seconds = np.arange(frames)[:, None, None] / config.fps
    phase = 2 * np.pi * (rng.uniform(0.15, 0.6, (4, 2)) * seconds + rng.random((4, 2)))  # [F, 4, 2]
    return [Pose(*row) for row in (middle + reach * np.sin(phase).mean(axis=2)).tolist()]


def _blinks(frames: int, fps: int, rng: np.random.Generator) -> np.ndarray:
    """How far the eyes are closed, from 0 to 1, `[F]`: one blink of a quarter second at a random time."""
    away = np.abs(np.arange(frames) - rng.uniform(0, frames)) / fps
    return np.clip(1.5 - away / 0.08, 0, 1)


def write_video(path: Path, frames: Iterable[np.ndarray], config: SyntheticConfig) -> None:
    """Writes the frames of `render_frames` as H.264; the file appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"fflags": "+bitexact"}
    with storage.replacing(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=config.fps, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        stream.codec_context.thread_count = 1  # the bytes depend on it
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
        container.mux(stream.encode(None))


def write_text(path: Path, text: str) -> None:
    """Writes a label file; it appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with storage.replacing(path) as part:
        part.write_text(text, encoding="utf-8")
