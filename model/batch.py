"""The batch as the model expects it: keys, dtypes and shapes."""

from collections.abc import Iterable, Mapping

import tensorflow as tf

WINDOWS = "windows"  # uint8 [B, S, 112, 112, 5]
LENGTHS = "lengths"  # int32 [B]: valid windows, the rest of the row is padding
IN_WORD = "in_word"  # uint8 [B, S]: 1 where the window's middle frame is in the word itself
LABELS = "labels"  # int32 [B, L]
LABEL_LENGTHS = "label_lengths"  # int32 [B]: valid labels
WEIGHTS = "weights"  # float32 [B]: 0 for a row that only fills the last batch
IDS = "ids"  # string [B]: left on the host, no graph reads it

WINDOW = (112, 112, 5)  # height, width, consecutive gray frames

SPECS = {
    WINDOWS: tf.TensorSpec([None, None, *WINDOW], tf.uint8, name=WINDOWS),
    LENGTHS: tf.TensorSpec([None], tf.int32, name=LENGTHS),
    IN_WORD: tf.TensorSpec([None, None], tf.uint8, name=IN_WORD),
    LABELS: tf.TensorSpec([None, None], tf.int32, name=LABELS),
    LABEL_LENGTHS: tf.TensorSpec([None], tf.int32, name=LABEL_LENGTHS),
    WEIGHTS: tf.TensorSpec([None], tf.float32, name=WEIGHTS),
}


def specs(keys: Iterable[str]) -> dict[str, tf.TensorSpec]:
    """Returns the signature of a graph that reads `keys`; B, S and L stay open, so that it is traced once."""
    return {key: SPECS[key] for key in keys}


def select(batch: Mapping[str, tf.Tensor], keys: Iterable[str]) -> dict[str, tf.Tensor]:
    """Returns the entries `keys` of a batch as tensors.

    Raises:
      ValueError: a key is missing, or has another dtype or shape than `SPECS` says.
    """
    missing = [key for key in keys if key not in batch]
    if missing:
        raise ValueError(f"batch: {', '.join(missing)} missing; got {', '.join(sorted(batch))}")
    return {key: _checked(key, tf.convert_to_tensor(batch[key])) for key in keys}


def _checked(key: str, value: tf.Tensor) -> tf.Tensor:
    want = SPECS[key]
    if value.dtype != want.dtype or not value.shape.is_compatible_with(want.shape):
        raise ValueError(
            f"batch[{key!r}]: got {value.dtype.name} {value.shape}, expected {want.dtype.name} {want.shape}"
        )
    return value
