"""VGG-M on lips: five 112x112 gray frames, stacked as channels, to one feature vector.

Tables of one family (Chatfield et al. 2014, "Return of the Devil in the Details", VGG-M; Chung and Zisserman
2016, "Lip Reading in the Wild" and "Out of Time", SyncNet). C is B with 3x3 kernels alone (Simonyan and Zisserman
2015): two thirds of the work, and on GRID it learns faster and reads better. Sides are those of a 112-pixel window:

    layer  A, native to 112x112    B, the classic trunk    C, small kernels
    conv1  3x3/1 valid   96 -> 110   7x7/2 valid   96 -> 53   3x3/2 valid   96 -> 55
    pool1  3x3/2 valid      -> 54    3x3/2 valid      -> 26   3x3/2 valid      -> 27
    conv2  5x5/1 valid  256 -> 50    5x5/2 valid  256 -> 11   3x3/2 valid  256 -> 13
    pool2  3x3/2 valid      -> 24    3x3/2 valid      -> 5    3x3/2 valid      -> 6
    conv3  3x3/1 valid  512 -> 22    3x3/1 same   512 -> 5    3x3/1 same   512 -> 6
    conv4  3x3/1 valid  512 -> 20    3x3/1 same   512 -> 5    3x3/1 same   512 -> 6
    conv5  3x3/1 valid  512 -> 18    3x3/1 same   512 -> 5    3x3/1 same   512 -> 6
    pool5  3x3/3 valid      -> 6     3x3/2 same       -> 3    3x3/2 same       -> 3
    fc6    512                       512                      512

Every convolution and fc6 is followed by batch normalisation (Ioffe and Szegedy 2015) and ReLU, and has
no bias, since the normalisation's shift takes its place:

    y = relu(gamma * (x - mean) / sqrt(var + epsilon) + beta)

Where a pool follows, it comes before the ReLU, with which a maximum commutes: a quarter of the pixels is left, and
oneDNN's normalisation with a ReLU in it is the slower one where the channels are no multiple of 16.

`momentum` is 0.9, not Keras's 0.99, which needs some 700 steps to forget its initial variance.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tf_keras

from model import replicas
from model.batch import WINDOW
from model.toom_cook import ToomCookConv2D

MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution, batch normalisation and ReLU."""

    channels: int
    kernel: int
    stride: int = 1
    padding: str = "valid"


@dataclasses.dataclass(frozen=True)
class Pool:
    """A maximum over `size` x `size` pixels."""

    size: int
    stride: int
    padding: str = "valid"


@dataclasses.dataclass(frozen=True)
class Dense:
    """A fully connected layer, batch normalisation and ReLU; as wide as the caller's `features`."""


Row = Conv | Pool | Dense

TABLES: dict[str, dict[str, Row]] = {
    "A": {
        "conv1": Conv(96, 3),
        "pool1": Pool(3, 2),
        "conv2": Conv(256, 5),
        "pool2": Pool(3, 2),
        "conv3": Conv(512, 3),
        "conv4": Conv(512, 3),
        "conv5": Conv(512, 3),
        "pool5": Pool(3, 3),
        "fc6": Dense(),
    },
    "B": {
        "conv1": Conv(96, 7, 2),
        "pool1": Pool(3, 2),
        "conv2": Conv(256, 5, 2),
        "pool2": Pool(3, 2),
        "conv3": Conv(512, 3, padding="same"),
        "conv4": Conv(512, 3, padding="same"),
        "conv5": Conv(512, 3, padding="same"),
        "pool5": Pool(3, 2, "same"),
        "fc6": Dense(),
    },
}
TABLES["C"] = {**TABLES["B"], "conv1": Conv(96, 3, 2), "conv2": Conv(256, 3, 2)}


class VGGM(tf_keras.Sequential):
    """Uint8 windows `[N, 112, 112, 5]` of gray values 0..255 -> features `[N, features]`, 0 or more.

    Gray values become `x / 63.75 - 2`, in -2..2, here and nowhere else: everything before moves bytes.

    Args:
      table: "A", "B" or "C", see the module.
      width: multiplies the channels of every convolution, rounded, at least 1; `features` stays.
      features: units of fc6.
      seed: of the initial weights: same seed, same weights.
      dtype: of every layer, a type or the name of a Keras policy such as "mixed_bfloat16", with which variables and
        statistics are float32; None for the global policy.

    Raises:
      ValueError: another table, or a width or number of features that is not positive.
    """

    def __init__(
        self,
        table: str = "B",
        *,
        width: float = 1.0,
        features: int = 512,
        seed: int = 0,
        dtype: str | None = None,
        name: str = "vgg_m",
    ) -> None:
        if table not in TABLES:
            raise ValueError(f"table: want one of {', '.join(TABLES)}, got {table!r}")
        if not (width > 0 and features > 0):
            raise ValueError(f"width and features: want more than 0, got {width} and {features}")
        # Half precision rounds gray values once, as input of conv1.
        full = dtype and tf_keras.mixed_precision.Policy(dtype).variable_dtype
        layers = [tf_keras.Input(WINDOW), tf_keras.layers.Rescaling(1 / 63.75, -2.0, dtype=full)]
        seeds = np.random.SeedSequence(seed).generate_state(len(TABLES[table])).tolist()
        for (row_name, row), row_seed in zip(TABLES[table].items(), seeds, strict=True):
            if isinstance(row, Pool):
                pool = tf_keras.layers.MaxPooling2D(row.size, row.stride, row.padding, dtype=dtype, name=row_name)
                layers.insert(-1, pool)  # before the ReLU of the row above
            else:
                layers.extend(_layers(row_name, row, width, features, row_seed, dtype))
        super().__init__(layers, name=name)


def _layers(
    name: str, row: Conv | Dense, width: float, features: int, seed: int, dtype: str | None
) -> Iterator[tf_keras.layers.Layer]:
    """Yields the Keras layers of one row; the layer that sets the output shape has the row's name."""
    layers = tf_keras.layers
    initial = tf_keras.initializers.HeNormal(seed)
    if isinstance(row, Conv):
        channels = max(1, round(row.channels * width))
        kind = ToomCookConv2D if row.padding == "same" else layers.Conv2D
        yield kind(
            channels,
            row.kernel,
            row.stride,
            row.padding,
            use_bias=False,
            kernel_initializer=initial,
            dtype=dtype,
            name=name,
        )
    else:
        yield layers.Flatten(dtype=dtype, name=f"{name}/flat")
        yield layers.Dense(features, use_bias=False, kernel_initializer=initial, dtype=dtype, name=name)
    yield replicas.BatchNormalization(momentum=MOMENTUM, dtype=dtype, name=f"{name}/norm")
    yield layers.ReLU(dtype=dtype, name=f"{name}/relu")
