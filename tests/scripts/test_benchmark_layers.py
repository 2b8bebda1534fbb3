import json
import re
from pathlib import Path

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from model.vgg_m import VGGM
from pipeline.schema import DataError
from scripts.benchmarks import layers, layers_variant, measure
from tests.scripts import commands


@pytest.mark.parametrize(
    ("operation", "want"),
    [
        ("reshape/vgg_m/conv1/GrayConv2D", "conv1 forward"),
        ("gradient_tape/reshape/vgg_m/conv5/MatMul_2/MatMul_1", "conv5 gradients"),
        ("gradient_tape/reshape/sequential/fc6/MatMul/MatMul", "fc6 gradients"),
        ("gradient_tape/reshape/vgg_m/conv2/norm/FusedBatchNormGradV3", "normalisation"),
        ("reshape/vgg_m/conv2/relu/Relu", "ReLU"),
        ("gradient_tape/reshape/vgg_m/pool1/MaxPool/MaxPoolGrad", "pooling"),
        ("reshape/vgg_m/rescaling/mul", "gray values"),
        ("reshape/vgg_m/Cast", "gray values"),
        ("SGD/AssignAddVariableOp_15", "rest"),
    ],
)
def test_an_operation_belongs_to_a_layer_or_to_what_all_have(operation: str, want: str) -> None:
    assert layers_variant.part(operation, "B") == want


def test_a_profile_holds_operations_and_what_runs_them() -> None:
    events = {"reshape/conv1/Conv2D:_MklNativeConv2D": 3, "ExecutorState::Process": 9, "train": 9, "a/b:Mul": 1}
    space = xplane_pb2.XSpace()
    host, other = space.planes.add(name="/host:CPU"), space.planes.add(name="/host:metadata")
    line = host.lines.add()
    for number, (name, milliseconds) in enumerate(events.items()):
        host.event_metadata[number].name = name
        line.events.add(metadata_id=number, duration_ps=milliseconds * 10**9)
    other.event_metadata[0].name = "c/d:Add"
    other.lines.add().events.add(metadata_id=0, duration_ps=10**9)
    assert list(layers_variant.operations(space.SerializeToString())) == [("reshape/conv1/Conv2D", 3.0), ("a/b", 1.0)]


def test_a_convolutions_work_is_two_operations_a_tap_and_place() -> None:
    work = layers_variant.flops(VGGM("B"), "B")
    assert list(work) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6"]
    assert work["conv1"] == 2 * 53 * 53 * 7 * 7 * 5 * 96
    assert work["conv2"] == 2 * 11 * 11 * 5 * 5 * 96 * 256
    assert work["fc6"] == 2 * 3 * 3 * 512 * 512


def test_the_table_sets_both_ways_beside_each_other_and_the_peak() -> None:
    names = list(layers_variant.flops(VGGM("B", width=0.01), "B"))
    keys = [f"{name} {variant}" for name in names for variant in (layers_variant.FORWARD, layers_variant.GRADIENTS)]
    usual = {**dict.fromkeys([*keys, *layers_variant.SHARED, layers_variant.STEP], 8.0), layers_variant.PEAK: 3.0}
    ours = {**dict.fromkeys([*keys, *layers_variant.SHARED, layers_variant.STEP], 4.0), layers_variant.PEAK: 2.0}
    work = {f"{name} {layers_variant.GFLOP}": 0.006 for name in names}
    measured = [measure.Measurement(variant, {**own, **work}) for variant, own in (("keras", usual), ("reshape", ours))]
    lines = layers.table_of(measured, "B").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:-2]]
    assert [row[0] for row in rows] == [*keys, *layers_variant.SHARED, layers_variant.STEP]
    assert rows[0][1:] == ["8.0", "4.0 (2.00)", "0.0", "2", "50%"]  # 6 MFLOP in 4 ms, of 3 GFLOP/s
    assert rows[1][4:] == ["2", "50%"]  # of conv1 alone, whose input wants no gradient
    assert rows[3][4:] == ["3", "100%"]
    assert rows[-1][1:3] == ["8.0", "4.0 (2.00)"]
    assert lines[-1] == "matrix product: 3 GFLOP/s"


def test_another_table_is_refused() -> None:
    with pytest.raises(DataError, match="--table: want one of A, B, C, got 'D'"):
        layers.run("D", 0.125, 1, 2, 1)


@pytest.mark.slow
def test_the_layers_are_measured(tmp_path: Path) -> None:
    kept = tmp_path / "figures.json"
    small = ("--width=0.03125", "--batches=2", "--lengths=4", "--rounds=1")
    (printed,) = commands.run(["benchmark", "layers", *small, f"--output={kept}"])
    for own in json.loads(kept.read_text())["medians"].values():
        assert own["items"] == 8
        parts = [
            value
            for name, value in own.items()
            if name in layers_variant.SHARED or re.match(r"(conv|fc)\d .*s?$", name)
        ]
        assert len(parts) == 6 * 3 + len(layers_variant.SHARED)
        assert all(value > 0 for value in parts)
    assert re.search(r"\| conv2 gradients +\| +[\d.]+ +\| [\d.]+ \(\d\.\d\d\)", printed)
