import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.checkpoints import TrainingState, has_begun, restore
from model.config import LipReaderConfig, TrainConfig
from model.errors import RunError
from model.lipreader import LipReader
from model.train_step import make_optimizer
from model.transfer import initialise
from tests.model import readers

CONFIG = LipReaderConfig(classes=3, width=0.0625, lstm_units=5)


def _trained(run_dir: Path, config: LipReaderConfig = CONFIG) -> LipReader:
    """A model with a last and a best checkpoint, as training leaves them."""
    model = LipReader(config, seed=1)
    readers.write_run(run_dir, config)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), run_dir)
    progress.save_if_best(0.5)
    progress.save()
    return model


@pytest.mark.parametrize("which", ["best", "last"])
def test_weights_come_back(tmp_path: Path, which: str) -> None:
    trained, fresh = _trained(tmp_path), LipReader(CONFIG, seed=2)
    restore(fresh, tmp_path, which)
    for got, want in zip(fresh.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("values", "best", "stale"),
    [
        ([0.9, 0.4, 0.6], 1, 1),
        ([0.4, 0.6, 0.4, 0.5], 2, 3),
        ([0.4, math.nan], 0, 1),
        ([math.inf, 0.4, math.inf], 1, 1),
    ],
)
def test_best_is_the_last_of_the_smallest(tmp_path: Path, values: list[float], best: int, stale: int) -> None:
    model = LipReader(CONFIG)
    readers.write_run(tmp_path, CONFIG)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    for step, value in enumerate(values):
        model.head.bias.assign([float(step)] * 3)
        progress.save_if_best(value)
    assert progress.stale == stale
    restore(model, tmp_path, "best")
    np.testing.assert_array_equal(model.head.bias, [best] * 3)


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    _trained(tmp_path)
    other = LipReader(dataclasses.replace(CONFIG, lstm_units=4))
    with pytest.raises(RunError, match=r"run.json: another model: lstm_units was 5, is 4;"):
        restore(other, tmp_path)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    model = LipReader(CONFIG)
    with pytest.raises(RunError, match="absent: no such run directory"):
        restore(model, tmp_path / "absent")
    with pytest.raises(RunError, match=r"run.json: missing, so this is no run directory"):
        restore(model, tmp_path)
    readers.write_run(tmp_path, CONFIG)
    with pytest.raises(RunError, match="best: no checkpoint; "):
        restore(model, tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run.json: not JSON"):
        restore(model, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    model = _trained(tmp_path)
    (index,) = (tmp_path / "best").glob("*.index")
    index.write_bytes(b"")
    with pytest.raises(RunError, match=r"best/ckpt-1: cannot be read \(.*\); restore it"):
        restore(model, tmp_path)


def test_a_run_can_start_from_another_with_a_new_head(tmp_path: Path) -> None:
    trained = _trained(tmp_path)
    other = LipReader(dataclasses.replace(CONFIG, classes=7, head="ctc"), seed=5)
    head = other.head.get_weights()
    assert initialise(other, tmp_path) == ()
    for part, source in ((other.steps, trained.steps), (other.lstms[0], trained.lstms[0])):
        for got, want in zip(part.get_weights(), source.get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)
    for got, want in zip(other.head.get_weights(), head, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_cnn_goes_on_without_its_lstm(tmp_path: Path) -> None:
    trained = _trained(tmp_path)
    other = LipReader(dataclasses.replace(CONFIG, use_in_word=True, lstm_layers=2), seed=5)
    lstms = [layer.get_weights() for layer in other.lstms]
    assert initialise(other, tmp_path) == ("lstm_layers", "use_in_word")
    for got, want in zip(other.steps.get_weights(), trained.steps.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    for layer, before in zip(other.lstms, lstms, strict=True):
        for got, want in zip(layer.get_weights(), before, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("source", "head", "shared"), [("word", "word", 3), ("word", "ctc", 3), ("ctc", "ctc", 4)])
def test_a_head_of_the_same_labels_goes_on(tmp_path: Path, source: str, head: str, shared: int) -> None:
    """A blank, the last output, goes on too where there was one; else it is as it was."""
    trained = _trained(tmp_path, dataclasses.replace(CONFIG, head=source))
    other = LipReader(dataclasses.replace(CONFIG, head=head), seed=5)
    before = other.head.get_weights()
    assert initialise(other, tmp_path, same_labels=True) == ()
    for got, fresh, want in zip(other.head.get_weights(), before, trained.head.get_weights(), strict=True):
        np.testing.assert_array_equal(got[..., :shared], want)
        np.testing.assert_array_equal(got[..., shared:], fresh[..., shared:])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_lstm_without_its_in_word_input_reads_as_if_all_were_in_it(tmp_path: Path, bidirectional: bool) -> None:
    config = dataclasses.replace(CONFIG, use_in_word=True, bidirectional=bidirectional)
    readers.write_run(tmp_path, config)
    with_input, without_input = (
        LipReader(config, seed=1),
        LipReader(dataclasses.replace(config, use_in_word=False), seed=2),
    )
    with_input.lstms[0].set_weights(
        [np.random.default_rng(0).normal(size=w.shape) for w in with_input.lstms[0].get_weights()]
    )
    TrainingState(with_input, make_optimizer(with_input, TrainConfig(warmup=0.0), 4), tmp_path).save()
    assert initialise(without_input, tmp_path) == ()
    features = np.random.default_rng(1).normal(size=[2, 4, 512]).astype(np.float32)
    with_flag = np.concatenate([features, np.ones([2, 4, 1], np.float32)], axis=-1)
    np.testing.assert_allclose(without_input.lstms[0](features), with_input.lstms[0](with_flag), atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_new_in_word_input_has_no_effect_at_first(tmp_path: Path, bidirectional: bool) -> None:
    without_input = _trained(tmp_path, dataclasses.replace(CONFIG, bidirectional=bidirectional))
    with_input = LipReader(dataclasses.replace(without_input.config, use_in_word=True), seed=2)
    assert initialise(with_input, tmp_path) == ()
    features, flag = (np.random.default_rng(1).normal(size=[2, 4, width]).astype(np.float32) for width in (512, 1))
    with_flag = np.concatenate([features, flag], axis=-1)
    np.testing.assert_allclose(with_input.lstms[0](with_flag), without_input.lstms[0](features), atol=1e-5)


def test_a_cnn_of_another_shape_is_refused(tmp_path: Path) -> None:
    _trained(tmp_path)
    with pytest.raises(RunError, match=r"width was 0\.0625, is 0\.125;"):
        initialise(LipReader(dataclasses.replace(CONFIG, width=0.125)), tmp_path)


def test_a_start_is_from_the_best_weights_and_without_validation_from_the_last(tmp_path: Path) -> None:
    model, other = LipReader(CONFIG), LipReader(CONFIG, seed=5)
    readers.write_run(tmp_path, CONFIG)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    for bias, save in ((1.0, lambda: progress.save_if_best(0.5)), (2.0, progress.save)):
        model.head.bias.assign([bias] * 3)
        save()
    initialise(other, tmp_path, same_labels=True)
    np.testing.assert_array_equal(other.head.bias, [1, 1, 1])
    shutil.rmtree(tmp_path / "best")
    initialise(other, tmp_path, same_labels=True)
    np.testing.assert_array_equal(other.head.bias, [2, 2, 2])


def _resume(model: LipReader, run_dir: Path) -> None:
    TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), run_dir).resume()


@pytest.mark.parametrize("read", [restore, initialise, _resume])
def test_a_checkpoint_of_another_program_is_named(read: Callable[[LipReader, Path], object], tmp_path: Path) -> None:
    readers.write_run(tmp_path, CONFIG)
    model = LipReader(CONFIG)
    old = tf.train.Checkpoint(model=tf.train.Checkpoint(head=model.head, body=model.steps))
    for which in ("best", "last"):
        tf.train.CheckpointManager(old, str(tmp_path / which), 1).save()
    with pytest.raises(RunError, match=r"ckpt-[12]: holds other variables than this program's model; use the program"):
        read(model, tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0" * 64, None], ids=["empty", "zeros", "gone"])
def test_checkpoints_are_found_by_their_files_where_their_list_is_lost(content: bytes | None, tmp_path: Path) -> None:
    model, fresh = _trained(tmp_path), LipReader(CONFIG, seed=2)
    for which in ("best", "last"):
        listed = tmp_path / which / "checkpoint"
        listed.unlink() if content is None else listed.write_bytes(content)
        restore(fresh, tmp_path, which)
        for got, want in zip(fresh.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)
    assert has_begun(tmp_path)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    assert progress.resume()
    progress.save()
    progress.save()
    assert sorted(path.stem for path in (tmp_path / "last").glob("*.index")) == ["ckpt-3", "ckpt-4"]


@pytest.mark.parametrize("content", ["[]", '{"model": 3}', '{"model": {"classes": 3, "new": 1}}', '{"model": {}}'])
def test_settings_of_another_version_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run.json: not what this version writes"):
        restore(LipReader(CONFIG), tmp_path)
    with pytest.raises(RunError, match=r"run.json: not what this version writes"):
        initialise(LipReader(CONFIG), tmp_path)


@pytest.mark.parametrize("suffix", [".index", ".*"], ids=["data without its index", "nothing at all"])
def test_what_a_kill_left_unfinished_is_no_checkpoint(suffix: str, tmp_path: Path) -> None:
    """The newer of two is not whole: a kill or a full disk came between."""
    model, fresh = LipReader(CONFIG), LipReader(CONFIG, seed=2)
    readers.write_run(tmp_path, CONFIG)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    for value in (1.0, 2.0):
        model.head.bias.assign([value] * 3)
        progress.save()
    for path in (tmp_path / "last").glob(f"ckpt-2{suffix}"):
        path.unlink()
    state = tf.train.get_checkpoint_state(str(tmp_path / "last"))
    assert [Path(path).name for path in state.all_model_checkpoint_paths] == ["ckpt-1", "ckpt-2"]
    restore(fresh, tmp_path, "last")
    np.testing.assert_array_equal(fresh.head.bias, [1, 1, 1])
    assert has_begun(tmp_path)
    (tmp_path / "last" / "ckpt-1.index").unlink()
    assert not has_begun(tmp_path)


def test_a_damaged_last_checkpoint_leaves_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = LipReader(CONFIG)
    progress = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    for step in (1, 2):
        progress.step = step
        progress.save()
    newest = max((tmp_path / "last").glob("*.data-*"), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:100])
    again = TrainingState(model, make_optimizer(model, TrainConfig(warmup=0.0), 4), tmp_path)
    assert again.resume()
    assert again.step == 1
    assert "cannot be read" in caplog.text
    for path in (tmp_path / "last").glob("*.data-*"):
        path.write_bytes(b"")
    with pytest.raises(RunError, match="cannot be read"):
        again.resume()
