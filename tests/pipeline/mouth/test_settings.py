import dataclasses
import json

import pytest

from pipeline.mouth.settings import CropSettings


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"mode": "lips"}, "mode: want face, box or resize, got 'lips'"),
        ({"margin": 0.1}, "margin: want 0.5 to 8"),
        ({"margin": float("nan")}, "margin"),
        ({"mode": "box"}, "box: .*--crop=box.*got None"),
        ({"box": (0, 0, 1, 1)}, "box: .*--crop=box.* with --crop=face"),
        ({"mode": "box", "box": (0.5, 0, 0.5, 1)}, "box: want 0 <= x0 < x1 <= 1"),
        ({"mode": "box", "box": (0, 0, 1)}, "box: want 0 <= x0 < x1 <= 1"),
        ({"smoothing": -1.0}, "smoothing: want 0 to 50"),
        ({"max_gap": -1}, "max_gap: want 0 frames or more"),
        ({"stride": 0}, "stride: want 1 or more"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        CropSettings(**settings)


def test_settings_go_through_json() -> None:
    settings = CropSettings(mode="box", box=(0.1, 0.2, 0.3, 0.4))
    assert CropSettings(**json.loads(json.dumps(dataclasses.asdict(settings)))) == dataclasses.replace(
        settings, box=[0.1, 0.2, 0.3, 0.4]
    )
