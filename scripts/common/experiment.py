"""Joins pipeline and model: a run opened with the input that it needs, and a model fed from shards."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from model import checkpoints, run, transfer
from model.alignment import Word
from model.decoding import GREEDY, DecodeConfig
from model.evaluate import Report, evaluate
from model.lipreader import LipReader
from pipeline import mouth
from pipeline.loading import dataset, device, windows
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.mouth.cropping import Crops
from pipeline.mouth.settings import CropSettings
from pipeline.records import directory, identity, storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError, StorageError
from pipeline.vocab import Vocabulary
from scripts.common import run_settings, word_counts
from scripts.common.damaged import Damaged


def settings(data: DatasetDir, config: DataConfig, order: PlanConfig, **more: Any) -> dict[str, Any]:
    """Returns the contents of `run.json`: all that decides the numbers of a run."""
    return {
        **{name: dataclasses.asdict(value) for name, value in more.items()},
        "version": run.VERSION,
        "data": dataclasses.asdict(config),
        "order": dataclasses.asdict(order),
        "input": _input(data),
        "words": word_counts.learned(data, config),
        "manifest_sha256": data.fingerprint,
    }


def _input(data: DatasetDir) -> dict[str, Any]:
    """Returns how the crops were made, which has to be the same wherever the model reads."""
    conversion = data.manifest["conversion"]
    return {"crop": {**run_settings.defaults(CropSettings), **conversion["crop"]}, "fps": conversion["fps"]}


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model, the input it needs, and the words of its training examples, not those of other splits."""

    model: LipReader
    data: DataConfig
    crop: CropSettings
    fps: float
    words: tuple[str, ...] = ()

    def crop_video(self, path: str | Path) -> Crops:
        """Crops the mouth out of a video as the run's own data was cropped, at its frame rate; see `mouth.crop`."""
        return mouth.crop(path, self.crop, fps=self.fps)


def open_run(directory: str | Path, which: str = "best") -> Run:
    """Loads the model of a run directory with its best or last weights.

    Raises:
      RunError: not a run directory, or no checkpoint in it.
    """
    directory = storage.local(directory)
    saved = _saved(directory)
    with run.as_written(directory):
        crop, fps = saved["input"]["crop"], float(saved["input"]["fps"])
        crop = CropSettings(**{**crop, "box": tuple(crop["box"]) if crop["box"] else None})
        config = DataConfig(**{**saved["data"], "vocabulary": _vocabulary(saved)})
        words = tuple(saved["words"])
    model = LipReader(run.model_config(directory))
    checkpoints.restore(model, directory, which)
    return Run(model, config.whole(), crop, fps, words)


def _vocabulary(saved: dict[str, Any]) -> Vocabulary:
    vocabulary = saved["data"]["vocabulary"]
    return Vocabulary(vocabulary["unit"], tuple(vocabulary["symbols"]))


def _saved(directory: Path) -> dict[str, Any]:
    """Reads `run.json` and checks that it says what a reader needs."""
    saved = run.load_run(directory)
    if missing := {"model", "data", "input", "words"} - saved.keys():
        raise DataError(
            f"{directory / run.RUN_FILE}: no {', '.join(sorted(missing))}; give a run that scripts.train made"
        )
    return saved


def check_input(data: DatasetDir, opened: Run) -> None:
    """Refuses data whose crops were made with other settings than those the run has learned from.

    Raises:
      DataError: naming every setting that differs.
    """
    want = {"crop": dataclasses.asdict(opened.crop), "fps": opened.fps}
    if differing := identity.differences(want, _input(data)):
        raise DataError(f"{data.root}: other crops than the run's: {'; '.join(differing)}; convert with the run's")


def initialise(model: LipReader, data: DatasetDir, config: DataConfig, source: str | Path) -> str:
    """Copies weights from another run as `transfer.initialise` does, if it has learned from the same kind of windows.

    Returns:
      What was copied, in words.

    Raises:
      DataError: naming every setting that differs.
      RunError: as `transfer.initialise`.
    """
    source = storage.local(source)
    saved = run_settings.with_defaults(_saved(source))
    saw = {**saved["input"], "padding": saved["data"]["padding"]}
    if differing := identity.differences(saw, {**_input(data), "padding": config.padding}):
        shown = "; ".join(differing)
        raise DataError(f"{source}: has learned from other windows: {shown}; start from a run of the same")
    theirs, own = _vocabulary(saved), config.vocabulary
    differing = transfer.initialise(model, source, theirs == own)
    cnn, lstm = _weights("CNN", [model.steps]), _weights("LSTM", model.lstms)
    if differing:
        others = ", ".join(f"{name} was {saved['model'][name]}, is {getattr(model.config, name)}" for name in differing)
        return f"its {cnn}; not its LSTM ({others}), nor its head"
    if theirs == own:
        return f"its {cnn}, {lstm} and head ({len(own)} labels)"
    if theirs.unit != own.unit:
        return f"its {cnn} and {lstm}; not its head, which reads {theirs.unit}s and not {own.unit}s"
    alike = len(set(theirs.symbols) & set(own.symbols))
    return f"its {cnn} and {lstm}; not its head, since of {len(own)} labels it has {alike}"


def _weights(name: str, layers: Iterable[tf_keras.layers.Layer]) -> str:
    return f"{name} ({sum(weights.size for layer in layers for weights in layer.get_weights()):,} weights)"


def batches(
    data: DatasetDir,
    split: str,
    config: DataConfig,
    order: PlanConfig,
    augmented: AugmentConfig | None = None,
    step: int = 0,
    epochs: int | None = 1,
    damaged: Damaged | None = None,
    at: str | None = None,
    threads: int | None = None,
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields batches from `step` on, with windows on the device `at`, by default the accelerator.

    The other arguments are those of `dataset.load`.

    Raises:
      DataError: a record is damaged and not skipped, or a shard cannot be read.
      StorageError: a store refuses or does not answer.
    """
    at_damage = vars(damaged or Damaged())
    ds = dataset.load(data, split, config, order, augmented, epochs=epochs, step=step, threads=threads, **at_damage)
    yield from _read(ds, data, split, config.padding, at)


def _read(
    ds: tf.data.Dataset, data: DatasetDir, split: str, padding: str, at: str | None = None
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the batches of `dataset.load` with windows; names what cannot be read, as `batches` does."""
    try:
        yield from device.batches(ds, padding, at)
    except tf.errors.OpError as error:
        problem = dataset.problem(error)
        if isinstance(problem, StorageError):
            raise problem from error
        if problem:
            way_out = "restore the shard, or leave damaged records out with --on_bad_record=skip"
            raise DataError(f"{problem}; {way_out}") from error
        changed = "; ".join(directory.changed_shards(data)) or error.message.splitlines()[0]
        raise DataError(f"{data.root}: split {split!r} cannot be read: {changed}; restore the shards") from error


def scorer(
    data: DatasetDir,
    split: str,
    config: DataConfig,
    batch_size: int,
    how: DecodeConfig = GREEDY,
    damaged: Damaged | None = None,
    timed: bool = False,
    threads: int | None = None,
) -> Callable[[LipReader], Report]:
    """Returns a function that scores every example of a split that `config` selects once, in index order.

    The split is planned here, once for all calls. `how` decodes the texts. If `timed`, times of words are compared
    where sentences are read and the data has word times. `threads` is that of `dataset.load`.
    """
    order = PlanConfig(batch_size=batch_size, shuffle=False, remainder="pad")
    ds = dataset.load(data, split, config, order, threads=threads, **vars(damaged or Damaged()))
    said = _said(data, split, config.padding) if timed and config.unit == "sentence" else None

    def score(model: LipReader) -> Report:
        return evaluate(model, _read(ds, data, split, config.padding), config.vocabulary, how, said)

    return score


def _said(data: DatasetDir, split: str, padding: str) -> Callable[[str], list[Word]]:
    """Returns a function from a clip's id to its words with their windows, surely said there."""
    records = {data.index.id[record]: record for record in data.records(split).tolist()}
    middle = windows.middle(padding)

    def said(name: str) -> list[Word]:
        return [Word(w.text, w.start - middle, w.stop - middle, 1.0) for w in data.index.row(records[name]).words]

    return said
