from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import metadata

from scripts.reports import tensorboard_settings

SETTINGS = {
    "version": 2,
    "data": {"unit": "word", "margin": 12, "speakers": [], "max_frames": None},
    "order": {"batch_size": 16},
    "augment": {"flip": 0.5},
    "model": {"use_in_word": True, "table": "C"},
    "train": {"learning_rate": 0.002},
}


def test_a_runs_settings_are_one_trial_of_hparams(tmp_path: Path) -> None:
    tensorboard_settings.write(tmp_path / "words", SETTINGS)
    (file,) = (tmp_path / "words" / "tensorboard").glob("*.v2")
    (value,) = [value for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert value.metadata.plugin_data.plugin_name == "hparams"
    trial = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
    found = {name: getattr(each, each.WhichOneof("kind")) for name, each in trial.hparams.items()}
    assert trial.group_name == "words"
    assert found == {
        "unit": "word",
        "margin": 12,
        "batch_size": 16,
        "flip": 0.5,
        "use_in_word": True,
        "table": "C",
        "learning_rate": 0.002,
    }
