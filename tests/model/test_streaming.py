from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model import export
from model.config import PRECISIONS
from model.errors import RunError
from model.streaming import Stream
from tests.model import readers

FRAMES = 17


def _streamed(graphs: dict, frames: np.ndarray, chunk: int) -> tuple[list[bytes], np.ndarray]:
    """Text and score after the last frame, `chunk` frames having come at a time."""
    state = graphs["start"](streams=tf.constant(len(frames)))
    for begin in range(0, frames.shape[1], chunk):
        state = graphs["step"](frames=tf.constant(frames[:, begin : begin + chunk]), **state)
    state = graphs["finish"](**state)
    return state["text"].numpy().tolist(), state["score"].numpy()


@pytest.mark.parametrize(
    ("head", "border", "precision"), [("ctc", 2, "float32"), ("word", 0, "float32"), ("ctc", 2, "mixed_bfloat16")]
)
def test_frames_as_they_come_give_what_the_whole_clip_gives(head: str, border: int, precision: str) -> None:
    model = readers.reader(head=head, lstm_layers=2, precision=precision)
    graphs = Stream(model, readers.SYMBOLS, readers.unit(model), readers.windows, border).signatures()
    frames = readers.frames(4, FRAMES)
    whole = np.pad(frames, [(0, 0), (border, border), (0, 0), (0, 0)], "edge")
    want = readers.read(model, whole, np.full(4, whole.shape[1]))
    for chunk in (1, 3, 5, FRAMES):
        texts, scores = _streamed(graphs, frames, chunk)
        if precision == "float32":  # in half precision two classes are often as good as each other
            assert [text.decode() for text in texts] == [text for text, _ in want]
        np.testing.assert_allclose(scores, [score for _, score in want], **readers.SCORES[precision])
    assert head == "word" or max(len(text) for text, _ in want) > 3


def test_text_comes_with_the_frames() -> None:
    model = readers.reader()
    stream = Stream(model, readers.SYMBOLS, "character", readers.windows)
    frames, state = readers.frames(1, FRAMES), stream.start(1)
    for count in range(1, FRAMES + 1):
        state = stream.step(tf.constant(frames[:, count - 1 : count]), state)
        if count < 5:
            assert (state["text"].numpy()[0], float(state["score"][0])) == (b"", 0.0)
        else:
            ((text, score),) = readers.read(model, frames[:, :count], np.array([count]))
            assert state["text"].numpy()[0].decode().rstrip() == text
            assert float(state["score"][0]) == pytest.approx(score, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("border", [0, 2], ids=["valid", "same"])
def test_no_frame_is_no_text(border: int) -> None:
    stream = Stream(readers.reader(), readers.SYMBOLS, "character", readers.windows, border)
    empty = stream.step(tf.zeros([1, 0, 112, 112], tf.uint8), stream.start(1))
    assert stream.finish(empty)["text"].numpy().tolist() == [b""]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_saved_stream_is_read_back(precision: str, tmp_path: Path) -> None:
    model = readers.reader(precision=precision)
    graphs = Stream(model, readers.SYMBOLS, "character", readers.windows).signatures()
    export.save(model, graphs, {}, tmp_path / "saved")
    saved, frames = tf.saved_model.load(str(tmp_path / "saved")).signatures, readers.frames(2, 12)
    (texts, scores), (want, score) = (_streamed(each, frames, 4) for each in (saved, graphs))
    assert texts == want
    np.testing.assert_allclose(scores, score, rtol=1e-5)


@pytest.mark.parametrize("field", ["bidirectional", "use_in_word"])
def test_what_needs_the_whole_clip_is_refused(field: str) -> None:
    model = readers.reader(head="word", **{field: True})
    with pytest.raises(RunError, match=f"streaming: the run is {field}, which wants whole clips; .*--no{field}"):
        Stream(model, readers.SYMBOLS, "word", readers.windows)
