import dataclasses
import math

import pytest
from tqdm import tqdm

from model.progress import Epoch
from model.train import TrainResult
from scripts.common import accelerator, training_output
from scripts.common.training_output import TrainingOutput

LOG = """2026-11-30 00:07:03.6: E external/local_xla/cuda_fft.cc:479] Unable to register cuFFT factory: CUDA has one
2026-11-30 00:07:03.8: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized
2026-11-30 00:07:09.3: W tensorflow/core/gpu_device.cc:2251] Cannot dlopen some GPU libraries. Please install them.
Skipping registering GPU devices...
"""
LOSSES = "loss 1.234, validation loss 2.500"


class _Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _epoch(number: int, wer: float, best: float, is_best: bool) -> Epoch:
    values = {"loss": 2.5, "wer": wer, "cer": 0.121, "word_accuracy": 1 - wer}
    return Epoch(number, 3, 40 * number, 1.2344, values, "wer", best, is_best)


def test_off_a_terminal_lines_tell_each_epoch_and_long_ones_between(capsys: pytest.CaptureFixture[str]) -> None:
    clock = _Clock()
    output = TrainingOutput(steps_per_epoch=40, epochs=3, now=clock)
    output.start(0, 120)
    for step in range(1, 41):
        clock.now += 1.0 if step > 1 else 50.0  # the first is traced
        output.step(step, {"loss": 1.5, "windows_per_s": 1234.5, "waiting": 0.031})
    output.epoch(_epoch(1, 0.22, 0.22, is_best=True))
    output.epoch(_epoch(2, 0.234, 0.22, is_best=False))
    output.close()
    assert capsys.readouterr().out.splitlines() == [
        "expected time: 2 min, and validation",
        f"epoch 1 of 3: {LOSSES}, wer 22.0%, cer 12.1%, best wer so far 22.0% (epoch 1), 80 s left",
        f"epoch 2 of 3: {LOSSES}, wer 23.4%, cer 12.1%, best wer so far 22.0% (epoch 1), 20 s left",
    ]


@pytest.mark.parametrize(
    ("profiled", "said"),
    [
        ((30, 40), ["nothing is recorded, since the run goes on from step 40"]),
        ((30, 41), ["only steps 40 to 40 are recorded, since the run goes on from step 40"]),
        ((110, 130), ["only steps 110 to 119 are recorded, since it ends after step 119"]),
        (
            (30, 130),
            ["only steps 40 to 119 are recorded, since the run goes on from step 40 and it ends after step 119"],
        ),
        ((40, 120), []),
        (None, []),
    ],
)
def test_which_steps_are_profiled_is_told_unless_all_are(
    profiled: tuple[int, int] | None, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    TrainingOutput(steps_per_epoch=40, epochs=3, profiled=profiled).start(40, 120)
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == said


def test_the_bar_shows_all_rates_in_80_columns() -> None:
    values = training_output._rates({"loss": 123.456, "windows_per_s": 12345.6, "waiting": 0.17})
    shown = tqdm.format_meter(1234, 6789, 372, ncols=80, bar_format=training_output.BAR, postfix=values)
    assert len(shown) <= 80
    assert shown.endswith(", loss 123.456, 12,346 windows/s, waiting 17%]")


def test_a_long_epoch_tells_where_it_is_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = _Clock()
    output = TrainingOutput(steps_per_epoch=40, epochs=3, now=clock)
    output.start(45, 120)  # a run that goes on
    for step in range(46, 50):
        clock.now += 20.0
        output.step(step, {"loss": 1.5, "windows_per_s": 1234.5, "waiting": 0.031} if step > 46 else {})
    output.epoch(_epoch(2, 0.234, 0.22, is_best=False))
    assert capsys.readouterr().out.splitlines() == [
        "epoch 2 of 3, step 48 of 120: loss 1.500, 1,234 windows/s, waiting 3%, 24 min left",
        f"epoch 2 of 3: {LOSSES}, wer 23.4%, cer 12.1%, best wer so far 22.0% (before this call), 71 s left",
    ]


@pytest.mark.parametrize(
    ("monitor", "best", "known", "said"),
    [
        ("wer", 0.22, _epoch(2, 0.22, 0.22, is_best=True), "best validation: wer 22.0%, cer 12.1% (epoch 2)"),
        ("wer", 0.22, None, "best validation: wer 22.0% (before this call)"),
        (
            "loss",
            2.5,
            _epoch(2, 0.22, 2.5, is_best=True),
            "best validation: loss 2.500, wer 22.0%, cer 12.1% (epoch 2)",
        ),
        ("loss", 2.5, None, "best validation: loss 2.500 (before this call)"),
        ("wer", math.inf, None, "no validation"),
    ],
)
def test_the_best_validation_is_told_not_the_last(monitor: str, best: float, known: Epoch | None, said: str) -> None:
    result = TrainResult(120, False, 1.0, {"wer": 0.9}, best, 0.0)
    assert training_output.best_validation(result, monitor, known) == said


def test_the_best_loss_is_no_percentage(capsys: pytest.CaptureFixture[str]) -> None:
    output = TrainingOutput(steps_per_epoch=40, epochs=3)
    output.start(80, 120)
    output.epoch(dataclasses.replace(_epoch(3, 0.22, 2.5, is_best=True), monitor="loss"))
    assert "cer 12.1%, best loss so far 2.500 (epoch 3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "said"), [(12.4, "12 s"), (89.0, "89 s"), (240, "4 min"), (5300, "88 min"), (9000, "2.5 h")]
)
def test_times(seconds: float, said: str) -> None:
    assert training_output.spelled(seconds) == said


@pytest.mark.parametrize(
    ("raw", "remote", "cached", "augmented", "said"),
    [
        (False, False, False, True, "raw frames (--encoding=raw of scripts.convert) or more cores help"),
        (True, False, False, True, "frames are stored raw already; augmentation needs more cores, or fewer of its"),
        (True, False, False, False, "frames are stored raw already; a faster disk or more cores help"),
        (True, True, False, True, "--cache_dir keeps records on this machine"),
        (False, True, True, False, "raw frames (--encoding=raw"),
    ],
)
def test_advice_fits_the_case(raw: bool, remote: bool, cached: bool, augmented: bool, said: str) -> None:
    assert training_output.advice(raw, remote, cached, augmented).startswith(said)


def test_tensorflows_own_reason_for_no_gpu_is_found_in_its_log() -> None:
    assert accelerator.reason(LOG) == "TensorFlow says: Cannot dlopen some GPU libraries. Please install them."
    assert accelerator.reason("") == "TensorFlow gives no reason"


def test_gpus_that_are_hidden_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert accelerator.why_no_gpu() == "CUDA_VISIBLE_DEVICES=-1 hides them"
