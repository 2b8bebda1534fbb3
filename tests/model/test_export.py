"""What is saved is read in a process that knows TensorFlow and NumPy alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model import decoding, export
from model.config import LipReaderConfig
from model.errors import RunError
from model.lipreader import LipReader
from tests.model import readers

ALONE = """
import json, sys
import numpy as np, tensorflow as tf
directory, arrays = sys.argv[1:]
batch = {name: tf.constant(array) for name, array in np.load(arrays).items()}
read = tf.saved_model.load(directory).signatures["serving_default"](**batch)
assert not {"model", "pipeline", "scripts"} & set(sys.modules)
print(json.dumps({"text": [text.decode() for text in read["text"].numpy()], "score": read["score"].numpy().tolist()}))
"""


def _alone(model: LipReader, place: Path, **batch: np.ndarray) -> dict[str, list]:
    """What the saved model reads in a process of its own."""
    graph = export.whole(model, readers.SYMBOLS, readers.unit(model), readers.windows)
    export.save(model, {"serving_default": graph}, {"fps": 25.0}, place / "saved")
    np.savez(place / "batch.npz", **batch)
    command = [sys.executable, "-c", ALONE, str(place / "saved"), str(place / "batch.npz")]
    ended = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("head", "precision"),
    [
        ("ctc", "float32"),
        *(
            pytest.param(*which, marks=pytest.mark.slow)
            for which in (("word", "float32"), ("ctc", "mixed_bfloat16"), ("ctc", "mixed_float16"))
        ),
    ],
)
def test_a_process_without_the_project_reads_the_same(head: str, precision: str, tmp_path: Path) -> None:
    model = readers.reader(head=head, bidirectional=True, precision=precision)
    frames, lengths = readers.frames(3, 16), np.array([16, 5, 11], np.int32)
    read = _alone(model, tmp_path, frames=frames, lengths=lengths)
    want = readers.read(model, frames, lengths)
    if precision == "float32":  # in half precision two classes are often as good as each other
        assert read["text"] == [text for text, _ in want]
    assert head == "word" or max(map(len, read["text"])) > 2
    np.testing.assert_allclose(read["score"], [score for _, score in want], **readers.SCORES[precision])
    assert json.loads((tmp_path / "saved" / export.ABOUT).read_text()) == {"fps": 25.0}
    assert {path.name for path in tmp_path.iterdir()} == {"saved", "batch.npz"}


@pytest.fixture(scope="module")
def read() -> Callable[..., dict[str, tf.Tensor]]:
    return export.whole(readers.reader(), readers.SYMBOLS, "character", readers.windows)


def test_padding_changes_no_text(read: Callable[..., dict[str, tf.Tensor]]) -> None:
    frames = readers.frames(2, 14)
    noise = np.random.default_rng(5).integers(0, 256, [2, 6, 112, 112], np.uint8)
    one, two = (read(each, [14, 9]) for each in (frames, np.concatenate([frames, noise], 1)))
    np.testing.assert_array_equal(one["text"], two["text"])
    np.testing.assert_allclose(one["score"], two["score"], rtol=1e-4)


@pytest.mark.slow
def test_a_word_is_read_where_it_lies() -> None:
    model = readers.reader(head="word", use_in_word=True)
    read = export.whole(model, readers.SYMBOLS, "word", readers.windows)
    frames = readers.frames(1, 12)
    in_word = (np.arange(12)[None] // 4 == 1).astype(np.uint8)
    read_in, nowhere = (read(frames, [12], each)["score"] for each in (in_word, np.zeros_like(in_word)))
    batch = {"windows": readers.windows(frames), "lengths": [8], "in_word": in_word[:, 2:-2]}
    (want,) = decoding.word(model({key: tf.constant(value) for key, value in batch.items()}).numpy())
    np.testing.assert_allclose(read_in, [want.score], rtol=1e-4)
    assert abs(float(nowhere[0]) - want.score) > 1e-3


@pytest.mark.parametrize(
    ("frames", "lengths", "message"),
    [(9, [10], "at most as many as there are frames"), (9, [4], "enough frames for a window"), (4, [4], "enough")],
    ids=["more than frames", "no window", "no window at all"],
)
def test_lengths_that_cannot_be_are_refused(
    read: Callable[..., dict[str, tf.Tensor]], frames: int, lengths: list[int], message: str
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"lengths: want {message}"):
        read(readers.frames(1, frames), lengths)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    model = LipReader(LipReaderConfig(classes=1, width=0.0625, lstm_units=1))
    with pytest.raises(RunError, match=f"{tmp_path}: is there already; name a new directory"):
        export.save(model, {}, {}, tmp_path)
    with pytest.raises(RunError, match=f"there is no directory {tmp_path / 'a'}; make it"):
        export.save(model, {}, {}, tmp_path / "a" / "b")
