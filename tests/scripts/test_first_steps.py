"""A newcomer's first steps, each a process as a user starts it: videos, a dataset, a run that goes on, a model."""

import signal
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from model import checkpoints
from pipeline.records import directory
from pipeline.synthetic.corpus import SyntheticConfig, render
from scripts.common import experiment
from tests.scripts import commands

NOTICES = ("oneDNN", "cuda", "absl", "XNNPACK", "port.cc", "tensorflow/")  # of libraries, none of which concern a user
SMALL = ["--unit=word", "--width=0.0625", "--lstm_units=8", "--batch_size=8", "--epochs=4", "--checkpoint_every=1"]


def ended(name: str, *arguments: str, stop: Path | None = None) -> tuple[int, str]:
    """The exit code of a command, and what it prints; it is interrupted once the run `stop` has begun."""
    process = commands.start(name, *arguments)
    while stop and process.poll() is None and not checkpoints.has_begun(stop):
        time.sleep(0.05)
    if stop:
        process.send_signal(signal.SIGINT)
    printed, stderr = process.communicate(timeout=300)
    assert [notice for notice in NOTICES if notice in stderr] == [], stderr
    return process.returncode, printed + stderr


def test_twenty_clips_become_a_model(tmp_path: Path) -> None:
    corpus, data, run, model = (tmp_path / name for name in ("corpus", "data", "run", "model"))
    assert len(list(render(corpus, SyntheticConfig(clips=20, width=280, height=224)))) == 20
    code, printed = ended("convert", "--corpus=grid", f"--source={corpus}", f"--output={data}", "--val=2", "--test=0")
    assert (code, len(directory.open_dataset(data).index)) == (0, 20), printed
    training = ["train", f"--data={data}", f"--output={run}", *SMALL]
    code, printed = ended(*training, stop=run)
    assert (code, "the same command continues from here" in printed) == (130, True), printed
    code, printed = ended(*training)
    assert (code, "finished; " in printed) == (0, True), printed
    code, printed = ended("export", f"--run={run}", f"--output={model}")
    assert code == 0, printed

    opened, dataset = experiment.open_run(run), directory.open_dataset(data)
    clip = directory.read_record(dataset, int(dataset.records("val")[0]))
    frames, shown = clip.frames[None], len(clip.frames)
    graph = tf.saved_model.load(str(model)).signatures["serving_default"]
    read = graph(frames=frames, lengths=[shown], in_word=np.ones([1, shown], np.uint8))
    assert read["text"].numpy()[0].decode() in opened.data.vocabulary.symbols
