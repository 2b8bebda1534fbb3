"""Trains a lip reader on a dataset directory. If it is stopped, the same command continues.

    python -m scripts.train --data=data/grid --output=runs/words --unit=word
    python -m scripts.train --data=data/grid --output=runs/sentences --unit=sentence

A word run names each aligned word. A sentence run reads whole clips with CTC, as characters or words (--labels).
tensorboard --logdir=RUN shows curves, confused words and a few clips with what was read. --speakers, --words, --where,
--max_doubt and --max_frames select training examples; validation keeps all. --flagfile=FILE reads flags from a file,
such as those of the published results in scripts/recipes.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import flags

from model import checkpoints
from model.distribution import WHOLE, Distribution, Share
from model.evaluate import Prediction
from model.lipreader import LipReader, LipReaderConfig
from model.train import TrainResult, train
from model.train_step import TrainConfig
from pipeline.loading import dataset, mixture
from pipeline.loading.augment import AugmentConfig
from pipeline.loading.examples import DataConfig
from pipeline.loading.plan import PlanConfig
from pipeline.records import storage
from pipeline.records.directory import DatasetDir
from pipeline.schema import Clip, DataError
from pipeline.vocab import Vocabulary
from scripts.common import cli, data_flags, experiment, signals, strategy_flags
from scripts.reports import score_page, tensorboard_images

flags.DEFINE_multi_string("data", None, "dataset directory or URL; repeat the flag to mix several", required=True)
data_flags.define()
strategy_flags.define()
flags.DEFINE_string("output", None, "run directory to write, or to continue", required=True)
flags.DEFINE_string(
    "init_from",
    None,
    "run to start from, such as a word run for sentences: its CNN, its LSTM if the shapes are equal, and its head if "
    "the labels are",
)
flags.DEFINE_enum(
    "labels", "characters", ["characters", "words"], "what a sentence run reads: characters, or words of the data"
)
DATA = cli.Options(
    DataConfig,
    {
        "unit": "word: single words, cut by their times; sentence: whole clips, read with CTC",
        "margin": "word unit: frames before and after a word",
        "padding": "valid: F frames give F - 4 windows; same: F windows, the first and last frame repeated",
        "speakers": "train on these speakers alone",
        "words": "train on these words, or on sentences of these words, alone",
        "max_doubt": "train on clips whose crops are less doubtful than this, such as 0.5; default: on all",
        "where": "NAME=VALUE: train on clips alone whose column NAME of the table, kept by --keep_columns of "
        "scripts.convert, has this value; repeat the flag for other values, or for other columns that have to fit too",
        "max_frames": "largest number of frames in an example; --on_long_example says what happens to longer ones",
        "overlong": "skip examples of more than --max_frames, or truncate them",
    },
    names={"margin": "word_margin", "overlong": "on_long_example"},
    repeated=("where",),
)
ORDER = cli.Options(
    PlanConfig,
    {
        "batch_size": "largest number of examples in a batch",
        "seed": "of the order, augmentation, initial weights and dropout",
        "remainder": "drop the examples that do not fill a batch, or pad the last batch",
        "max_windows_per_batch": "largest number of windows in a batch; batches of long examples hold fewer of them",
        "pad_to_multiple": "pad batches to a multiple of so many windows, so that there are few shapes",
        "mix": "share of each --data in an epoch; default: every example once",
    },
)
AUGMENT = cli.Options(AugmentConfig, cli.AUGMENT)
DAMAGED = cli.Options(
    experiment.Damaged,
    {"on_bad_record": "what to do at a damaged record: raise an error that names it, or skip and count it"},
)
MODEL = cli.Options(
    LipReaderConfig,
    {
        "table": "layers of VGG-M: A (SyncNet's, 13 times the work), B (the classic trunk) or C (B with 3x3 kernels)",
        "width": "factor on the channels of VGG-M",
        "sequence": "how the CNN runs over time: packed (valid windows only), chunked (64 of them at a time, for less "
        "memory), reshape (padding too), map_batch, map_time or time_distributed",
        "lstm_units": "LSTM units in each direction",
        "lstm_layers": "number of stacked LSTMs",
        "bidirectional": "run the LSTM in both directions",
        "dropout": "share of the LSTM inputs that is dropped",
        "use_in_word": "word unit: an LSTM input that says which windows lie in the word itself",
        "precision": "Keras policy of VGG-M; variables, LSTM and loss stay float32",
    },
)
TRAIN = cli.Options(
    TrainConfig,
    {
        "epochs": "passes over the data",
        "learning_rate": "peak learning rate",
        "warmup": "share of the steps in which the learning rate grows, before it follows a cosine",
        "weight_decay": "AdamW weight decay of kernels",
        "clip_norm": "largest global norm of the gradient",
        "label_smoothing": "word unit: label smoothing",
        "checkpoint_every": "steps between checkpoints",
        "patience": "epochs without a better validation after which training stops; default: never",
    },
)

INPUT_BOUND = ": reading is the limit; raw frames (--encoding of scripts.convert) or more cores help"


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    _check()
    output, order = storage.local(flags.FLAGS.output), ORDER.build()
    distribution = strategy_flags.open_distribution(order.batch_size)
    data = mixture.join(data_flags.open_datasets(flags.FLAGS.data))
    word, vocabulary = flags.FLAGS.unit == "word", _vocabulary(data)
    config, augmented = DATA.build(vocabulary=vocabulary), AUGMENT.build()
    shape = MODEL.build(classes=len(vocabulary), head="word" if word else "ctc")
    how = TRAIN.build(monitor="wer" if vocabulary.unit == "word" else "cer")
    steps = dataset.steps_per_epoch(
        data, "train", config, strategy_flags.share(order, distribution.shares[0]), augmented
    )
    clip = _validated(data, config, distribution)
    if clip is None and how.patience is not None:
        raise DataError(f"--patience={how.patience}: needs a split 'val', see above; leave it out")
    damaged = DAMAGED.build()
    saved = experiment.settings(data, config, order, augment=augmented, model=shape, train=how)
    saved["init_from"] = _source(output)
    strategy_flags.refuse_other_settings(distribution, {**saved, "on_bad_record": damaged.on_bad_record})
    with distribution.scope():
        model = LipReader(shape, seed=order.seed)
    if flags.FLAGS.init_from and not checkpoints.has_begun(output):
        _initialise(model, data, config, distribution)

    def validate() -> dict[str, float]:
        report = experiment.score(model, data, "val", config.whole(), order.batch_size, damaged=damaged)
        if distribution.is_chief:
            tensorboard_images.show(report, clip)
        return report.metrics

    feed = _feed(data, config, order, augmented, damaged)
    with _owned(output, saved, distribution), signals.deferred() as stop:
        result = train(model, how, feed, steps, output, validate if clip else None, stop, distribution)
    damaged.skipped.update(*distribution.exchange(sorted(damaged.skipped)))
    if distribution.is_chief:
        _print_result(result, how, how.epochs * steps, output, damaged)
    if result.interrupted:
        sys.exit(signals.exit_code(stop.number))  # for scripts that wait for the run


def _feed(
    data: DatasetDir, config: DataConfig, order: PlanConfig, augmented: AugmentConfig, damaged: experiment.Damaged
) -> Callable[..., Iterator]:
    """Returns a reader of training batches from a step on, whole or a replica's share of them."""

    def read(step: int, part: Share = WHOLE) -> Iterator:
        stream = data, "train", config, strategy_flags.share(order, part), augmented
        return experiment.batches(*stream, step=step, epochs=None, damaged=damaged, at=part.device)

    return read


@contextlib.contextmanager
def _owned(output: Path, saved: dict[str, Any], distribution: Distribution) -> Iterator[None]:
    """Holds the run directory for the chief, who writes it; lets the other workers begin once it is there."""
    with contextlib.ExitStack() as held:
        if distribution.is_chief:
            experiment.save_run(output, saved)
            held.enter_context(experiment.locked(output))
        distribution.exchange(None)
        yield


def _print_result(result: TrainResult, how: TrainConfig, steps: int, output: Path, damaged: experiment.Damaged) -> None:
    """Prints how far training came, what limited it, and what it skipped."""
    if result.loss is None and not (result.interrupted or damaged.skipped):  # nothing was read
        best = f"; best validation: {how.monitor} {result.best:.4f}" if math.isfinite(result.best) else ""
        print(f"already finished; {result.steps} of {steps} steps{best}; run: {output}")
        return
    ended = "stopped early: no better validation for --patience epochs" if result.steps < steps else "finished"
    state = "stopped: the same command continues from here" if result.interrupted else ended
    shown = ", ".join(f"{name} {value:.4f}" for name, value in sorted(result.validation.items()))
    print(f"{state}; {result.steps} of {steps} steps; validation: {shown or 'none'}; run: {output}")
    print(f"waited for data: {result.waiting:.0%} of the time{INPUT_BOUND if result.input_bound else ''}")
    if damaged.on_bad_record == "skip":
        print(f"skipped: {damaged}")


def _check() -> None:
    """Refuses flags that other flags leave without effect."""
    values = flags.FLAGS
    if values.unit == "word" and values["labels"].present and values.labels != "words":
        raise DataError(f"--labels={values.labels}: needs --unit=sentence; a word run reads words, leave it out")
    if values.unit == "sentence" and values.label_smoothing:
        raise DataError(f"--label_smoothing={values.label_smoothing}: needs --unit=word; leave it out")
    if values.unit == "sentence" and values["word_margin"].present:
        raise DataError(f"--word_margin={values.word_margin}: needs --unit=word; leave it out")
    if values.max_frames is None and values["on_long_example"].present:
        raise DataError(f"--on_long_example={values.on_long_example}: needs --max_frames; give it, or leave this out")


def _vocabulary(data: DatasetDir) -> Vocabulary:
    """Returns the symbols of the labels."""
    values, known = flags.FLAGS, data.manifest["vocabulary"]
    if values.unit == "word" or values.labels == "words":
        return Vocabulary.of_words(known["words"])
    return Vocabulary.of_characters(known["characters"])


def _validated(data: DatasetDir, config: DataConfig, distribution: Distribution) -> Callable[[Prediction], Clip] | None:
    """Returns a reader of validation clips; None, and a printed reason, if there are none."""
    try:
        return score_page.clips(data, "val", config.whole())
    except DataError as error:
        if distribution.is_chief:
            print(f"no validation: {error}")
        return None


def _source(output: Path) -> str | None:
    """Returns `--init_from` relative to the run, so that both can be moved together."""
    source = flags.FLAGS.init_from
    return source and os.path.relpath(storage.local(source).resolve(), output.resolve())


def _initialise(model: LipReader, data: DatasetDir, config: DataConfig, distribution: Distribution) -> None:
    source = storage.local(flags.FLAGS.init_from)
    copied = experiment.initialise(model, data, config, source)
    if distribution.is_chief:
        print(f"starting from {source}: {copied}")


if __name__ == "__main__":
    cli.run(main, resumes=True, at_once=strategy_flags.has_workers)
