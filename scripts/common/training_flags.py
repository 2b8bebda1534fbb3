"""The flags of `scripts.train`: what each decides, and which exclude each other."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from model.config import LipReaderConfig, TrainConfig
from model.errors import RunError
from model.run import RUN_FILE
from pipeline.loading.config import AugmentConfig, DataConfig, PlanConfig
from pipeline.records import identity, storage
from pipeline.schema import DataError
from pipeline.vocab import Vocabulary
from scripts.common import cli, data_flags, run_settings, strategy_flags, training_defaults
from scripts.common.damaged import Damaged

flags.disclaim_key_flags()

LABELS = ("characters", "words")
GROUPS = {  # of --help, the often used first
    "What to train": ("data", "output", "unit", "labels", "init_from"),
    "Training": (
        *("epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "ema", "warmup"),
        *("clip_norm", "monitor", "patience", "checkpoint_every", "seed"),
    ),
    "Model": (
        *("width", "lstm_units", "lstm_layers", "bidirectional", "dropout", "use_in_word", "table"),
        *("precision", "sequence"),
    ),
    "Augmentation, one draw for each example and epoch": (*cli.AUGMENT, "splice"),
    "Which examples": (
        *("speakers", "words", "where", "max_doubt", "max_frames", "on_long_example", "word_margin"),
        *("padding", "mix", "on_bad_record"),
    ),
    "Batches and reading": (
        *("read_threads", "max_windows_per_batch", "pad_to_multiple", "remainder", "cache_dir", "cache_gb"),
    ),
    "Devices and machines": ("strategy", "worker_timeout_s", "profile_steps"),
}
DATA = {
    "unit": "What an example is. word: a single word, cut by its times; sentence: a whole clip, read with CTC.",
    "margin": "Frames before and after a word.",
    "padding": "valid: F frames give F - 4 windows; same: F windows, the first and last frame repeated.",
    "speakers": "Train on these speakers alone.",
    "words": "Train on these words, or on sentences of these words, alone.",
    "max_doubt": "Train on clips whose crops are less doubtful than this, such as 0.5; default: on all.",
    "where": "NAME=VALUE: train on clips alone whose column NAME of the table, kept by --keep_columns of "
    "scripts.convert, has this value. Repeat the flag for other values, or for other columns that have to fit too.",
    "max_frames": "Largest number of frames in an example; --on_long_example says what happens to longer ones.",
    "overlong": "Skip examples of more than --max_frames, or truncate them.",
}
SPLICE = (
    "Probability that some words of a sentence give way to as many of another clip of the talker, cut by word times; "
    "for sentences alone."
)
ORDER = {
    "batch_size": "Largest number of examples in a batch, over all devices.",
    "seed": "Decides the order, augmentation, initial weights and dropout.",
    "remainder": "Drop the examples that do not fill a batch, or pad the last batch.",
    "max_windows_per_batch": "Largest number of windows in a batch; batches of long examples hold fewer of them.",
    "pad_to_multiple": "Pad batches to a multiple of so many windows, so that there are few shapes.",
    "mix": "Share of each --data in an epoch, in any unit: 1,3 is a quarter and three quarters. Default: every example "
    "once.",
}
MODEL = {
    "table": "Layers of VGG-M: A (SyncNet's, 13 times the work), B (the classic trunk) or C (B with 3x3 kernels).",
    "width": "Factor on the channels of VGG-M; the work grows with its square.",
    "sequence": "How the CNN runs over time: packed (valid windows only), chunked (64 of them at a time, for less "
    "memory), reshape (padding too), map_batch, map_time or time_distributed.",
    "lstm_units": "LSTM units in each direction.",
    "lstm_layers": "Number of stacked LSTMs.",
    "bidirectional": "Run the LSTM in both directions; --nobidirectional reads frames as they arrive.",
    "dropout": "Share of the LSTM inputs that is dropped.",
    "use_in_word": "Word unit: an LSTM input says which windows lie in the word itself.",
    "precision": "What VGG-M computes in, a Keras policy; variables, LSTM and loss stay float32.",
}
TRAIN = {
    "epochs": "Passes over the data.",
    "learning_rate": "Peak learning rate.",
    "warmup": "Share of the steps in which the learning rate grows, before it falls along a cosine.",
    "weight_decay": "AdamW weight decay of kernels.",
    "clip_norm": "Largest global norm of the gradient.",
    "ema": "Decay of averaged weights, which are validated and kept beside the learned ones; 0: none.",
    "label_smoothing": "Word unit: label smoothing.",
    "checkpoint_every": "Steps between checkpoints; each epoch also ends with one.",
    "monitor": "Value of the validation whose minimum picks the best weights.",
    "patience": "Epochs without a better validation after which training stops; default: never.",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the flags ask for."""

    data: DataConfig
    order: PlanConfig
    augment: AugmentConfig
    model: LipReaderConfig
    train: TrainConfig
    damaged: Damaged


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of the dataclasses that decide a training."""

    data: cli.Options
    order: cli.Options
    augment: cli.Options
    model: cli.Options
    train: cli.Options
    damaged: cli.Options

    def take_defaults(self, output: Path) -> dict[str, Any] | None:
        """Gives the flags that the user has not given the values of the run in `output`, else those of the unit.

        So a run that was begun before a flag existed is continued without it, whatever the flag's default.

        Returns:
          The settings of the run; None if there is none yet.

        Raises:
          RunError: the run is of another unit, or of other labels.
        """
        saved = run_settings.begun(output)
        if saved is None:
            training_defaults.take(flags.FLAGS.unit)
            return None
        _refuse_another_task(output, saved)
        for section in run_settings.SECTIONS:
            getattr(self, section).set_defaults(saved[section])
        flags.FLAGS.set_default("labels", training_defaults.of_run(saved))
        return saved

    def build(self, vocabulary: Vocabulary) -> Settings:
        """Builds what the flags ask for; the labels are of a vocabulary.

        Raises:
          DataError: a value is refused; the flag is named.
        """
        return Settings(
            data=self.data.build(vocabulary=vocabulary),
            order=self.order.build(),
            augment=self.augment.build(),
            model=self.model.build(classes=len(vocabulary), head="word" if flags.FLAGS.unit == "word" else "ctc"),
            train=self.train.build(monitor=flags.FLAGS.monitor or training_defaults.monitor(vocabulary)),
            damaged=self.damaged.build(),
        )


def define() -> Options:
    """Defines all flags of a training."""
    flags.DEFINE_multi_string("data", None, "Dataset directory or URL; repeat the flag to mix several.", required=True)
    flags.DEFINE_string("output", None, "Run directory to write, or to continue.", required=True)
    flags.DEFINE_enum(
        "labels",
        None,
        LABELS,
        "What a sentence run reads. words: words of the data, no others; characters: any text. Default: words where "
        f"training has at most {training_defaults.MAX_WORDS:,} words, each {training_defaults.MIN_TIMES} times "
        f"on average, and they are {training_defaults.MIN_KNOWN:.0%} of what validation says; else characters.",
    )
    flags.DEFINE_string(
        "init_from",
        None,
        "Run to start from, such as a word run for sentences: its CNN, its LSTM if the shapes are equal, and its head "
        "if the labels are.",
    )
    data_flags.define()
    strategy_flags.define()
    names = {"margin": "word_margin", "overlong": "on_long_example"}
    damaged = {"on_bad_record": "At a damaged record, raise an error that names it, or skip and count it."}
    options = Options(
        data=cli.Options(DataConfig, DATA, names, repeated=("where",)),
        order=cli.Options(PlanConfig, ORDER),
        augment=cli.Options(AugmentConfig, {**cli.AUGMENT, "splice": SPLICE}),
        model=cli.Options(LipReaderConfig, MODEL),
        train=cli.Options(TrainConfig, TRAIN),
        damaged=cli.Options(Damaged, damaged),
    )
    flags.DEFINE_integer(
        "read_threads",
        None,
        "Batches that are read and augmented at once; changes no batch. Default: two more than there are cores.",
        lower_bound=1,
    )
    flags.DEFINE_list(
        "profile_steps",
        None,
        "Record these steps with TensorBoard's profiler: the first, counted from 0 through all epochs, and the one "
        "after the last, such as 100,110.",
    )
    training_defaults.describe()
    return options


def _refuse_another_task(output: Path, saved: Mapping[str, Any]) -> None:
    """Refuses another unit or other labels than the run's, before all that depends on them is found to differ."""
    own = {"unit": saved["data"]["unit"], "labels": training_defaults.of_run(saved)}
    asked = {name: flags.FLAGS[name].value for name in own if flags.FLAGS[name].present}
    if differing := identity.differences(own, {**own, **asked}):
        raise RunError(
            f"{output / RUN_FILE}: other settings: {'; '.join(differing)}; give the old ones, or a new directory"
        )


def profile_steps(total: int | None = None) -> tuple[int, int] | None:
    """Returns the steps that --profile_steps asks for: the first, and the one after the last.

    Args:
      total: steps of the whole training; None before they are known.

    Raises:
      DataError: they are no two numbers, one after the other, or training ends before the first.
    """
    if (given := flags.FLAGS.profile_steps) is None:
        return None
    if len(given) != 2 or not all(part.isdecimal() for part in given) or not int(given[0]) < int(given[1]):
        raise DataError(f"--profile_steps={','.join(given)}: want the first step and the one after the last: 100,110")
    first, last = map(int, given)
    if total is not None and first >= total:
        ends = f"training ends after {cli.counted(total, 'step')}"
        raise DataError(f"--profile_steps={first},{last}: {ends}; name earlier ones")
    return first, last


def check(options: Options) -> None:
    """Refuses flags that other flags leave without effect, and those that are no values, before data is opened.

    Raises:
      DataError: naming the flag, and what to do.
    """
    values = flags.FLAGS
    profile_steps()
    given = {name for name in flags.FLAGS if values[name].present}
    if values.unit == "word" and "labels" in given and values.labels != "words":
        raise DataError(f"--labels={values.labels}: needs --unit=sentence; a word run reads words, leave it out")
    if values.unit == "word" and values.splice:
        raise DataError(f"--splice={values.splice:g}: needs --unit=sentence; leave it out")
    if values.unit == "sentence":
        for name in ("label_smoothing", "word_margin", "use_in_word"):
            if name in given and values[name].value:
                raise DataError(f"--{name}={values[name].value}: needs --unit=word; leave it out")
    if values.max_frames is None and "on_long_example" in given:
        raise DataError(f"--on_long_example={values.on_long_example}: needs --max_frames; give it, or leave this out")
    for name in values.data:
        place = storage.place(name)
        if "," in name and isinstance(place, Path) and not place.exists():
            repeated = " ".join(f"--data={part}" for part in name.split(","))
            raise DataError(f"--data={name}: no such directory; repeat the flag for several: {repeated}")
    cli.check_local("output", "init_from")
    strategy_flags.check()
    data_flags.check(values.data)
    options.build(Vocabulary.of_characters())  # refuses what is wrong whatever the labels are
