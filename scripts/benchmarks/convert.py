"""Conversion against baselines: speed, memory, time by stage, distance between the crops."""

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.corpora import grid
from pipeline.mouth import cropping, path
from pipeline.mouth.settings import CropSettings
from pipeline.schema import CROP, ClipError, DataError
from pipeline.video import decode
from scripts.benchmarks import measure
from scripts.benchmarks.convert_shares import STAGES
from scripts.benchmarks.measure import Candidate, Measurement
from scripts.common.bars import bar

OURS = "lipflow"
STAGES_OF_OURS = "lipflow, stage by stage"
TRACKED = "our landmarks, every frame tracked"
NETWORKS = "our networks, a face sought in every frame of RGB"
BASELINES = {"mediapipe": "MediaPipe, every frame of RGB"}


def draw(source: Path, clips: int, seed: int) -> list[str]:
    """Draws `clips` videos of a corpus in GRID's layout, or all if it has fewer.

    Raises:
      DataError: `source` is no such corpus, or has less than two clips.
    """
    videos = sorted(str(clip.video) for clip in grid.clips(source.absolute()))
    if len(videos) < 2:
        raise DataError(f"--source={source}: want at least 2 clips to measure, got {len(videos)}")
    return list(np.random.default_rng(seed).permutation(videos)[:clips])


def run(source: Path, videos: list[str], workers: int, rounds: int) -> list[Measurement]:
    """Measures all candidates on `videos` of `source`, prints the tables, and returns every measurement."""
    with tempfile.TemporaryDirectory() as scratch:
        usual = {"videos": videos, "workers": workers, "scratch": scratch}
        ours = measure.variant(OURS, "scripts.benchmarks.convert_variant", {"source": str(source.absolute()), **usual})
        networks = measure.variant(NETWORKS, "scripts.benchmarks.every_frame_variant", usual)
        others = [*measure.baselines(BASELINES, usual), networks]
        measured = _measure([*others, ours], rounds)
        print(measure.table(measured, others[0].name, "frames"))
        alone = measure.variant(
            STAGES_OF_OURS, "scripts.benchmarks.convert_shares", {"videos": videos, "scratch": scratch}
        )
        stages = _measure([alone], rounds)
        print(f"\n{_shares(stages)}")
        print(f"\n{closeness(videos, others, Path(scratch))}")
    return [*measured, *stages]


def _measure(candidates: list[Candidate], rounds: int) -> list[Measurement]:
    return list(bar(measure.alternate(candidates, rounds), total=rounds * len(candidates), unit="run"))


def _shares(stages: list[Measurement]) -> str:
    (figures,) = measure.medians(stages).values()
    rows = [["stage, one process", "ms a frame", "share"]]
    for name in STAGES:
        seconds = figures[f"{name}_s"]
        rows.append([name, f"{1000 * seconds / figures['items']:.2f}", f"{seconds / figures['seconds']:.0%}"])
    return measure.markdown(rows)


def closeness(videos: list[str], others: list[Candidate], scratch: Path) -> str:
    """Formats a table of the distances between our crops and those of the others, in pixels of 112 of theirs.

    Once without smoothing, as the baselines crop, and once with ours on both. The mean is a steady offset of a network.
    Frames without corners in one of them, and those that smoothing mixes with them, are left out.
    """
    ours = _corners(videos, CropSettings().stride)
    variants = {TRACKED: _corners(videos, 1), **{other.name: _kept(other, ours, scratch) for other in others}}
    heads = ["centre, median", "99%", "worst corner, median", "99%", "centre less its mean, median", "99%", "mean x, y"]
    rows = [[f"crops of {len(ours)} clips against", "smoothed", *heads]]
    for name, theirs in variants.items():
        for sigma in (0.0, CropSettings().smoothing):
            apart = [shifts(path.smooth(ours[number], sigma), path.smooth(theirs[number], sigma)) for number in ours]
            rows.append([name, "both" if sigma else "neither", *_distances(np.concatenate(apart))])
    return measure.markdown(rows)


def _corners(videos: list[str], stride: int) -> dict[int, np.ndarray]:
    """Returns the corners of our crops without smoothing, float32 [F, 4, 2], by number of the video."""
    cropper = cropping.MouthCropper(CropSettings(smoothing=0, stride=stride))
    found = {}
    for number, name in enumerate(bar(videos, unit="clip")):
        with contextlib.suppress(ClipError), decode.opened(Path(name)) as video:
            found[number] = cropper(video)[0].corners
    return found


def _kept(other: Candidate, numbers: Iterable[int], scratch: Path) -> dict[int, np.ndarray]:
    """Reads the corners that a baseline writes."""
    with tempfile.TemporaryDirectory(dir=scratch) as keep:
        measure.measure(Candidate(other.name, other.command, {**other.argument, "keep": keep}))
        return {number: np.load(Path(keep) / f"{number}.corners.npy") for number in numbers}


def shifts(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Returns how far corners [F, 4, 2] lie apart: complex [F, 4], in pixels and along the axes of the crop `theirs`.

    NaN where either has none.
    """
    here, there = (corners[..., 0] + 1j * corners[..., 1] for corners in (ours, theirs))
    step = (there[:, 1] - there[:, 0]) / CROP
    with np.errstate(invalid="ignore"):
        return (here - there) / step[:, None]


def _distances(apart: np.ndarray) -> list[str]:
    """Returns quantiles of complex [F, 4]: centres, worst corners, centres less their mean."""
    apart = apart[~np.isnan(apart).any(axis=1)]
    centre = apart.mean(axis=1)
    steady = centre.mean()
    distances = [np.abs(centre), np.abs(apart).max(axis=1), np.abs(centre - steady)]
    quantiles = [f"{np.quantile(distance, q):.2f}" for distance in distances for q in (0.5, 0.99)]
    return [*quantiles, f"{steady.real:.2f}, {steady.imag:.2f}"]
