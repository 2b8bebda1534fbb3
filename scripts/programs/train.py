"""Trains the run of the flags, or continues it."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from model import checkpoints
from model.distribution import WHOLE, Distribution, Share
from model.evaluate import Prediction
from model.lipreader import LipReader
from model.progress import Reporter
from model.train import TrainResult, train
from pipeline.loading import dataset, mixture
from pipeline.loading.config import DataConfig
from pipeline.loading.examples import select_examples
from pipeline.loading.splice import Splicer
from pipeline.records import storage
from pipeline.records.directory import DatasetDir, open_dataset
from pipeline.schema import Clip, DataError
from pipeline.vocab import Vocabulary
from scripts.common import accelerator, cli, data_flags, experiment, run_settings, signals, strategy, word_counts
from scripts.common import training_flags as training
from scripts.common import training_output as printed
from scripts.reports import score_page, tensorboard_images, tensorboard_settings


def run(options: training.Options, begun: dict[str, Any] | None) -> None:
    """Trains as the flags say; `begun` is the settings of the run that is continued."""
    values, output = flags.FLAGS, storage.local(flags.FLAGS.output)
    distribution = strategy.open_distribution(values.batch_size)
    say = _say if distribution.is_chief else _say_nothing
    say(f"device: {accelerator.describe(values.strategy)}")
    cache = data_flags.cache()
    data = mixture.join([open_dataset(name, cache) for name in values.data])
    asked = options.build(_vocabulary(data, options, say))
    steps = _steps(data, asked, distribution)
    profiled = training.profile_steps(asked.train.epochs * steps)
    clip = _validated(data, asked, say)
    saved = {**_settings(data, asked), "init_from": _source(output, begun)}
    strategy.refuse_other_settings(distribution, {**saved, "on_bad_record": asked.damaged.on_bad_record})
    with distribution.scope():
        model = LipReader(asked.model, seed=asked.order.seed)
    if saved["init_from"] and not checkpoints.has_begun(output):
        source = storage.local(values.init_from or (output / saved["init_from"]).resolve())
        say(f"starts from {source}: {experiment.initialise(model, data, asked.data, source)}")
    _describe(data, asked, steps, model, say, validates=clip is not None)
    reporter = printed.TrainingOutput(steps, asked.train.epochs, profiled) if distribution.is_chief else Reporter()
    feed, validate = _feed(data, asked), clip and _validation(model, data, asked, clip, distribution.is_chief)
    with _owned(output, saved, distribution), signals.deferred(then=printed.say_stopping) as stop:
        how = {"stop": stop, "distribution": distribution, "reporter": reporter, "profile_steps": profiled}
        result = train(model, asked.train, feed, steps, output, validate, **how)
    asked.damaged.skipped.update(*distribution.exchange(sorted(asked.damaged.skipped)))
    if distribution.is_chief:
        _print_result(result, data, asked, asked.train.epochs * steps, output, reporter)
    if result.interrupted:
        sys.exit(signals.exit_code(stop.number))  # for scripts that wait for the run


def _settings(data: DatasetDir, asked: training.Settings) -> dict[str, Any]:
    """Returns the contents of `run.json`."""
    parts = {"augment": asked.augment, "model": asked.model, "train": asked.train}
    return experiment.settings(data, asked.data, asked.order, **parts)


def _say(line: str) -> None:
    print(line, flush=True)


def _say_nothing(line: str) -> None:
    """Leaves a line to the chief."""


def _steps(data: DatasetDir, asked: training.Settings, distribution: Distribution) -> int:
    """Returns the number of batches of an epoch."""
    order = strategy.share(asked.order, distribution.shares[0])
    return dataset.steps_per_epoch(data, "train", asked.data, order, asked.augment)


def _feed(data: DatasetDir, asked: training.Settings) -> Callable[..., Iterator]:
    """Returns a reader of training batches from a step on, whole or a replica's share of them."""

    def read(step: int, part: Share = WHOLE) -> Iterator:
        stream = data, "train", asked.data, strategy.share(asked.order, part), asked.augment
        how = {"damaged": asked.damaged, "at": part.device, "threads": flags.FLAGS.read_threads}
        return experiment.batches(*stream, step=step, epochs=None, **how)

    return read


def _validation(
    model: LipReader,
    data: DatasetDir,
    asked: training.Settings,
    clip: Callable[[Prediction], Clip],
    is_chief: bool,
) -> Callable[[], dict[str, float]]:
    """Returns what scores the validation split; the chief, who prints, shows pictures of it too."""
    how = {"damaged": asked.damaged, "threads": flags.FLAGS.read_threads}
    score = experiment.scorer(data, "val", asked.data.whole(), asked.order.batch_size, **how)

    def validate() -> dict[str, float]:
        report = score(model)
        if is_chief:
            tensorboard_images.show(report, clip)
        return report.metrics

    return validate


@contextlib.contextmanager
def _owned(output: Path, saved: dict[str, Any], distribution: Distribution) -> Iterator[None]:
    """Holds the run directory for the chief, who writes it; lets the other workers begin once it is there."""
    with contextlib.ExitStack() as held:
        if distribution.is_chief:
            run_settings.save_run(output, saved)
            if not checkpoints.has_begun(output):
                tensorboard_settings.write(output, saved)
            held.enter_context(run_settings.locked(output))
        distribution.exchange(None)
        yield


def _describe(
    data: DatasetDir,
    asked: training.Settings,
    steps: int,
    model: LipReader,
    say: Callable[[str], None],
    validates: bool,
) -> None:
    """Prints what is trained on what, before the first batch."""
    unit, epochs = asked.data.unit, asked.train.epochs
    chosen = select_examples(data, "train", asked.data)
    val = _amount(data, "val", asked.data.whole()) if validates else "0 clips"
    say(f"data: {data.root}: {_amount(data, 'train', asked.data)} to train on, {val} to validate with")
    if asked.augment.splice and not Splicer(data, chosen, asked.data, asked.augment.splice).can_splice:
        named = "a name (a table's column `speaker`) and two clips whose words all have times"
        say(f"splice: no talker has {named}; none is spliced")
    if asked.order.mix:
        names, shares = flags.FLAGS.data, np.array(asked.order.mix) / sum(asked.order.mix)
        shown = ", ".join(f"{share:.1%} {name}" for name, share in zip(names, shares, strict=False))
        say(f"mix: an epoch is {shown}")
    count = sum(int(np.prod(weights.shape)) for weights in model.trainable_variables)
    say(f"model: VGG-M {asked.model.table} of width {asked.model.width:g}, LSTM; {count:,} parameters")
    batch = asked.order.batch_size
    of_each = f"{cli.counted(epochs, 'epoch')} of {cli.counted(steps, 'step')}, {epochs * steps:,} in all"
    say(f"training: {of_each}, of at most {cli.counted(batch, unit)} each")


def _amount(data: DatasetDir, split: str, config: DataConfig) -> str:
    """Counts the examples of a split, and of words the clips that have some or none."""
    chosen, records = select_examples(data, split, config), data.records(split)
    if config.unit == "sentence":
        return cli.counted(len(chosen), "sentence")
    untimed = np.count_nonzero(np.diff(data.index.word_rows)[records] == 0)
    without = f" (of {len(records)}; {untimed} without word times)" if untimed else ""
    return f"{cli.counted(len(chosen), 'word')} of {cli.counted(len(np.unique(chosen.record)), 'clip')}{without}"


def _print_result(
    result: TrainResult,
    data: DatasetDir,
    asked: training.Settings,
    steps: int,
    output: Path,
    reporter: printed.TrainingOutput,
) -> None:
    """Prints how far training came, its best validation, what limited it, and what it skipped."""
    best, damaged = printed.best_validation(result, asked.train.monitor, reporter.best), asked.damaged
    if result.loss is None and not (result.interrupted or damaged.skipped):  # nothing was read
        print(f"already finished; {result.steps} of {steps} steps; {best}; run: {output}")
        return
    ended = "stopped early: no better validation for --patience epochs" if result.steps < steps else "finished"
    state = "stopped: the same command continues from here" if result.interrupted else ended
    print(f"{state}; {result.steps} of {steps} steps; {best}; run: {output}")
    raw, cached = data.encoding.name == "raw", flags.FLAGS.cache_dir is not None
    augmented = asked.augment != type(asked.augment)()
    helps = f": reading is the limit; {printed.advice(raw, data.is_remote, cached, augmented)}"
    print(f"waited for data: {result.waiting:.0%} of the time{helps if result.input_bound else ''}")
    if damaged.on_bad_record == "skip":
        print(f"skipped: {damaged}")


def _vocabulary(data: DatasetDir, options: training.Options, say: Callable[[str], None]) -> Vocabulary:
    """Returns the symbols of the labels."""
    values, known = flags.FLAGS, data.manifest["vocabulary"]
    characters = Vocabulary.of_characters(known["characters"])
    if values.unit == "sentence" and values.labels is None:
        counted = word_counts.count(data, options.data.build(vocabulary=characters))
        values.set_default("labels", "words" if counted.is_closed else "characters")
        say(f"labels: {values.labels}, since {counted} (--labels)")
    by_word = values.unit == "word" or values.labels == "words"
    return Vocabulary.of_words(known["words"]) if by_word else characters


def _validated(
    data: DatasetDir, asked: training.Settings, say: Callable[[str], None]
) -> Callable[[Prediction], Clip] | None:
    """Returns a reader of validation clips; None, and a printed reason, if there are none.

    Raises:
      DataError: training is to end by its validation, and there is none.
    """
    try:
        return score_page.clips(data, "val", asked.data.whole())
    except DataError as error:
        say(f"no validation: {error}")
        if asked.train.patience is not None:
            raise DataError(
                f"--patience={asked.train.patience}: needs a split 'val', see above; leave it out"
            ) from error
        return None


def _source(output: Path, begun: dict[str, Any] | None) -> str | None:
    """Returns `--init_from` relative to the run, so that both can be moved together; of a begun run its own."""
    if flags.FLAGS.init_from is None:
        return begun and begun.get("init_from")
    return os.path.relpath(storage.local(flags.FLAGS.init_from).resolve(), output.resolve())
