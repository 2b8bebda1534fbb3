"""Trains a lip reader on a dataset directory; the same command goes on with a run that was stopped.

    python -m scripts.train --data=data/grid --output=runs/words --unit=word
    python -m scripts.train --data=data/grid --output=runs/sentences --unit=sentence

A word run names each aligned word; a sentence run spells whole clips with CTC, or names their words (--labels=words).
tensorboard --logdir=RUN shows the curves and, of each validation, the words confused and a few clips with what was read
of them. What --speakers, --words and --max_frames leave out is validated on all the same. Flags may stand in a file:
--flagfile=FILE; scripts/recipes has those of the README's results.
"""

import functools
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from absl import flags

from model import checkpoints
from model.evaluate import Prediction
from model.lipreader import LipReader, LipReaderConfig
from model.train import TrainResult, train
from model.train_step import TrainConfig
from pipeline.loading import dataset, mixture
from pipeline.loading.augment import AugmentConfig
from pipeline.loading.direct_reader import Reader
from pipeline.loading.examples import DataConfig
from pipeline.loading.plan import PlanConfig
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.schema import Clip, DataError
from pipeline.vocab import Vocabulary
from scripts.common import cli, experiment, signals
from scripts.reports import score_page, tensorboard_images

flags.DEFINE_multi_string(
    "data", None, "dataset directory, made by scripts.convert; give several to mix", required=True
)
flags.DEFINE_string("output", None, "run directory to write, or to go on with", required=True)
flags.DEFINE_float(
    "cache_gb", 0, "memory for decoded frames, which are then read once; a clip of 75 takes 0.94 MB", lower_bound=0
)
flags.DEFINE_string(
    "init_from",
    None,
    "run whose CNN to start from, such as a word run for sentences; and whose LSTM and head, where of one shape "
    "and of the same labels",
)
flags.DEFINE_enum(
    "labels", "characters", ["characters", "words"], "what a sentence run reads: spelled, or in words of the data alone"
)
DATA = cli.Options(
    DataConfig,
    {
        "unit": "word: each aligned word, one label; sentence: whole clips, spelled with CTC",
        "margin": "frames before and after a word",
        "padding": "valid: F frames give F - 4 windows; same: F windows, the first and last frame repeated",
        "speakers": "learn from these alone",
        "words": "learn from these words, or from sentences of these words, alone",
        "max_frames": "learn from no longer examples",
        "overlong": "skip examples of more than --max_frames, or truncate them",
    },
)
ORDER = cli.Options(
    PlanConfig,
    {
        "batch_size": "examples a step, at most",
        "seed": "of the order, augmentation, the initial weights and dropout",
        "remainder": "drop the examples that fill no batch, or pad the last batch",
        "max_windows_per_batch": "batches of long examples hold fewer of them, so that no batch has more windows",
        "pad_to_multiple": "of windows, so that batches come in few shapes",
        "mix": "share of an epoch for each --data; default: every example once",
    },
)
AUGMENT = cli.Options(AugmentConfig, cli.AUGMENT)
DAMAGED = cli.Options(
    experiment.Damaged, {"on_bad_record": "at a damaged record: raise an error that names it, or skip and count it"}
)
MODEL = cli.Options(
    LipReaderConfig,
    {
        "table": "VGG-M's layers: A (SyncNet's, 13 times the work), B (the classic trunk) or C (B with 3x3 kernels)",
        "width": "multiplies VGG-M's channels",
        "sequence": "how the CNN runs over time: packed (valid windows only), chunked (64 of them at a time, for less "
        "memory), reshape (padding too), map_batch, map_time or time_distributed",
        "lstm_units": "a direction",
        "lstm_layers": "stacked LSTMs",
        "bidirectional": "read the clip from both ends",
        "dropout": "share of the LSTM's inputs dropped",
        "use_in_word": "word unit: tell the LSTM which windows lie in the word itself",
        "precision": "of VGG-M: float32, mixed_bfloat16 or mixed_float16; variables, LSTM and loss are float32",
    },
)
TRAIN = cli.Options(
    TrainConfig,
    {
        "epochs": "passes over the data",
        "learning_rate": "its peak",
        "warmup": "share of the steps that the learning rate grows in, before the cosine",
        "weight_decay": "AdamW's, on kernels",
        "clip_norm": "largest norm of the gradient",
        "label_smoothing": "word unit: of the targets",
        "checkpoint_every": "steps between checkpoints",
        "patience": "stop after so many epochs without a better validation; default: never",
    },
)

INPUT_BOUND = ": reading is the limit; raw frames (--encoding of scripts.convert), --cache_gb or more cores help"


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    _check()
    output = Path(flags.FLAGS.output)
    data = mixture.join([open_dataset(Path(path)) for path in flags.FLAGS.data])
    word, vocabulary = flags.FLAGS.unit == "word", _vocabulary(data)
    config, order, augmented = DATA.build(vocabulary=vocabulary), ORDER.build(), AUGMENT.build()
    shape = MODEL.build(classes=len(vocabulary), head="word" if word else "ctc")
    how = TRAIN.build(monitor="wer" if vocabulary.unit == "word" else "cer")
    steps = dataset.steps_per_epoch(data, "train", config, order, augmented)
    clip = _validated(data, config)
    if clip is None and how.patience is not None:
        raise DataError(f"--patience={how.patience}: goes with a split 'val' to validate on, see above; leave it out")
    model = LipReader(shape, seed=order.seed)
    if flags.FLAGS.init_from and not checkpoints.has_begun(output):
        _initialise(model, data, config)
    saved = experiment.settings(data, config, order, augment=augmented, model=shape, train=how)
    experiment.save_run(output, {**saved, "init_from": _source(output)})
    damaged = DAMAGED.build()
    reading = {"damaged": damaged, "reader": Reader(data, int(flags.FLAGS.cache_gb * 1e9))}
    feed = functools.partial(experiment.batches, data, "train", config, order, augmented, **reading)

    def validate() -> dict[str, float]:
        report = experiment.score(model, data, "val", config, order.batch_size, **reading)
        tensorboard_images.show(report, clip)
        return report.metrics

    with experiment.locked(output), signals.deferred() as stop:
        result = train(model, how, feed, steps, output, validate if clip else None, stop)
    _tell(result, how, how.epochs * steps, output, damaged)
    if result.interrupted:
        sys.exit(1)  # what waits for the run has to know that it is not done


def _tell(result: TrainResult, how: TrainConfig, steps: int, output: Path, damaged: experiment.Damaged) -> None:
    """Says how far training came of all its steps, what held it up, and what it left out."""
    if result.loss is None and not (result.interrupted or damaged.skipped):  # nothing was read
        best = f"; best validation: {how.monitor} {result.best:.4f}" if math.isfinite(result.best) else ""
        print(f"was done already; {result.steps} of {steps} steps{best}; run: {output}")
        return
    ended = "done early: no better for --patience epochs" if result.steps < steps else "done"
    state = "stopped: the same command goes on from here" if result.interrupted else ended
    shown = ", ".join(f"{name} {value:.4f}" for name, value in sorted(result.validation.items()))
    print(f"{state}; {result.steps} of {steps} steps; validation: {shown or 'none'}; run: {output}")
    print(f"waited for data: {result.waiting:.0%} of the time{INPUT_BOUND if result.input_bound else ''}")
    if damaged.on_bad_record == "skip":
        print(f"skipped: {damaged}")


def _check() -> None:
    """Refuses what has no use beside the unit and the other flags."""
    values = flags.FLAGS
    if values.unit == "word" and values["labels"].present and values.labels != "words":
        raise DataError(f"--labels={values.labels}: goes with --unit=sentence; a word run names words, leave it out")
    if values.unit == "sentence" and values.label_smoothing:
        raise DataError(
            f"--label_smoothing={values.label_smoothing}: goes with --unit=word; CTC has none, leave it out"
        )
    if values.unit == "sentence" and values["margin"].present:
        raise DataError(f"--margin={values.margin}: goes with --unit=word; a sentence is a whole clip, leave it out")
    if values.max_frames is None and values["overlong"].present:
        raise DataError(f"--overlong={values.overlong}: goes with --max_frames; without it nothing is too long")


def _vocabulary(data: DatasetDir) -> Vocabulary:
    """What the labels are made of."""
    values, known = flags.FLAGS, data.manifest["vocabulary"]
    if values.unit == "word" or values.labels == "words":
        return Vocabulary.of_words(known["words"])
    return Vocabulary.of_characters(known["characters"])


def _validated(data: DatasetDir, config: DataConfig) -> Callable[[Prediction], Clip] | None:
    """The frames of what training is validated on; where there is nothing, None, and a line that says why."""
    try:
        return score_page.clips(data, "val", config.whole())
    except DataError as error:
        print(f"no validation: {error}")
        return None


def _source(output: Path) -> str | None:
    """`--init_from` as seen from the run: the same however it is typed, and wherever both are moved."""
    source = flags.FLAGS.init_from
    return source and os.path.relpath(Path(source).resolve(), output.resolve())


def _initialise(model: LipReader, data: DatasetDir, config: DataConfig) -> None:
    source = Path(flags.FLAGS.init_from)
    print(f"starts from {source}: {experiment.initialise(model, data, config, source)}")


if __name__ == "__main__":
    cli.run(main, resumes=True)
