import numpy as np
import pytest
import tensorflow as tf

from pipeline.loading import windows
from pipeline.loading.config import PADDINGS


def oracle(frames: np.ndarray, lengths: list[int], padding: str) -> np.ndarray:
    """Window by window, pixel column by pixel column, as the definition reads."""
    rows, total, height, width = frames.shape
    out = np.zeros((rows, total - 4 if padding == "valid" else total, height, width, 5), frames.dtype)
    for b in range(rows):
        for s in range(lengths[b] - 4 if padding == "valid" else lengths[b]):
            for k in range(5):
                t = s + k if padding == "valid" else s + k - 2
                out[b, s, ..., k] = frames[b, min(max(t, 0), lengths[b] - 1)]
    return out


def frames_of(dtype: type, rows: int = 3, total: int = 9) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 256, (rows, total, 4, 6)).astype(dtype)


@pytest.mark.parametrize("host", [False, True], ids=["anywhere", "host"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("lengths", [[9, 9, 9], [9, 5, 7], [1, 4, 9], [0, 6, 2]], ids=str)
def test_against_the_definition(dtype: type, padding: str, lengths: list[int], host: bool) -> None:
    frames = frames_of(dtype)
    made = windows.make(tf.constant(frames), tf.constant(lengths, tf.int32), padding, host)
    assert made.dtype == tf.as_dtype(dtype)
    np.testing.assert_array_equal(made, oracle(frames, lengths, padding))


@pytest.mark.parametrize("host", [False, True], ids=["anywhere", "host"])
@pytest.mark.parametrize("padding", PADDINGS)
def test_without_lengths_every_frame_is_valid(padding: str, host: bool) -> None:
    frames = frames_of(np.uint8)
    np.testing.assert_array_equal(
        windows.make(tf.constant(frames), None, padding, host), oracle(frames, [9] * 3, padding)
    )


def test_literal_middle_frames() -> None:
    frames = tf.reshape(tf.constant([1, 2, 3, 4, 5, 6], tf.uint8), [1, 6, 1, 1])
    valid = [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]
    same = [[1, 1, 1, 2, 3], [1, 1, 2, 3, 4], *valid, [3, 4, 5, 6, 6], [4, 5, 6, 6, 6]]
    np.testing.assert_array_equal(windows.make(frames)[0, :, 0, 0], valid)
    np.testing.assert_array_equal(windows.make(frames, padding="same")[0, :, 0, 0], same)


@pytest.mark.parametrize("host", [False, True], ids=["anywhere", "host"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("total", [1, 3, 4])
def test_fewer_frames_than_a_window(padding: str, total: int, host: bool) -> None:
    frames = frames_of(np.uint8, rows=2, total=total)
    made = windows.make(tf.constant(frames), tf.constant([total, 1]), padding, host)
    assert made.shape == (2, 0 if padding == "valid" else total, 4, 6, 5)
    if padding == "same":
        np.testing.assert_array_equal(made, oracle(frames, [total, 1], padding))


@pytest.mark.parametrize("host", [False, True], ids=["anywhere", "host"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("shape", [[3, 9, 4, 6], [None, None, 4, 6], [None] * 4, [3, None, None, 6]], ids=str)
def test_static_and_dynamic_shapes(shape: list[int | None], padding: str, host: bool) -> None:
    frames, lengths = frames_of(np.uint8), [9, 5, 7]
    specs = [tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([None], tf.int32)]
    graph = tf.function(lambda f, n: windows.make(f, n, padding, host), input_signature=specs)
    np.testing.assert_array_equal(graph(frames, lengths), oracle(frames, lengths, padding))
    static = graph.get_concrete_function().output_shapes.as_list()
    steps = None if shape[1] is None else windows.count(shape[1], padding)
    assert static == [shape[0], steps, shape[2], shape[3], 5]


@pytest.mark.parametrize("host", [False, True], ids=["anywhere", "host"])
@pytest.mark.parametrize("padding", PADDINGS)
def test_in_a_dataset(padding: str, host: bool) -> None:
    frames, lengths = frames_of(np.uint8), [9, 5, 7]
    ds = tf.data.Dataset.from_tensors((frames, np.array(lengths, np.int32)))
    made = next(iter(ds.map(lambda f, n: windows.make(f, n, padding, host))))
    np.testing.assert_array_equal(made, oracle(frames, lengths, padding))


def test_count() -> None:
    assert [windows.count(75), windows.count(75, "same"), windows.count(5), windows.count(4)] == [
        71,
        75,
        1,
        0,
    ]


def test_another_edge_is_refused() -> None:
    with pytest.raises(ValueError, match="padding: want valid or same, got 'wrap'"):
        windows.make(tf.zeros([1, 5, 1, 1]), padding="wrap")
