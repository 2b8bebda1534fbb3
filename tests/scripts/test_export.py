import functools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.mouth.cropping import MouthCropper
from scripts.common import experiment
from tests import datasets, videos
from tests.scripts import commands, tiny_runs


@pytest.mark.slow
def test_an_exported_run_reads_as_the_run_does(tmp_path: Path) -> None:
    run, output = tiny_runs.write(tmp_path / "run", bidirectional=False), tmp_path / "exported"
    (end, printed), (again, _) = commands.in_turn(
        "export", *[[f"--run={run}", f"--output={output}", "--streaming"]] * 2
    )
    assert (end, "serving_default, start, step, finish" in printed) == (None, True)
    assert again == f"error: {output}: is there already; name a new directory"
    about = json.loads((output / "input.json").read_text())
    assert (about["fps"], about["crop"]["mode"], about["padding"]) == (25.0, "resize", "valid")
    assert about["inputs"] == {
        "frames": {"dtype": "uint8", "shape": [None, None, 112, 112]},
        "lengths": {"dtype": "int32", "shape": [None]},
    }
    assert "; takes frames, lengths, which input.json describes" in printed

    opened, path = experiment.open_run(run), tmp_path / "a.mp4"
    datasets.write_video(path, datasets.pixels(21, seed=3, side=96))
    want = json.loads(commands.run(["transcribe", f"--run={run}", "--format=json", "--decoder=greedy", str(path)])[0])
    frames = MouthCropper(opened.crop)(videos.read(path, fps=opened.fps).luma)[0].frames[None]
    graphs = tf.saved_model.load(str(output)).signatures
    whole = graphs["serving_default"](frames=tf.constant(frames), lengths=tf.constant([21]))
    state = graphs["start"](streams=tf.constant(1))
    for begin in range(0, 21, 4):
        state = graphs["step"](frames=tf.constant(frames[:, begin : begin + 4]), **state)
    for read in (whole, graphs["finish"](**state)):
        assert read["text"].numpy()[0].decode() == want["text"]
        np.testing.assert_allclose(read["score"], [want["score"]], rtol=1e-3, atol=1e-4)
    assert want["text"]


@pytest.mark.slow
def test_what_cannot_be_streamed_is_refused(tmp_path: Path) -> None:
    run = functools.partial(tiny_runs.write, unit="word")
    output = f"--output={tmp_path / 'exported'}"
    both, in_word = run(tmp_path / "both"), run(tmp_path / "in_word", bidirectional=False, use_in_word=True)
    commands.mistakes_in_turn(
        "export",
        ([f"--run={both}", output, "--streaming"], ["the run is bidirectional", "--nobidirectional"]),
        ([f"--run={in_word}", output, "--streaming"], ["the run is use_in_word", "--nouse_in_word"]),
        ([f"--run={both}", f"--output={tmp_path / 'a' / 'b'}"], [f"no directory {tmp_path / 'a'}"]),
    )
    assert not (tmp_path / "exported").exists()
