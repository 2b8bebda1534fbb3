import math

from model.meters import Meter


def test_time_counts_from_the_beginning_until_the_last_step_was_done() -> None:
    meter = Meter(began=100.0)
    assert all(math.isnan(value) for value in meter.rates().values())
    meter.count(300, 0.5, done=101.0, loss=4.0)
    meter.count(100, 0.5, done=104.0, loss=None)
    assert meter.rates() == {"loss": 4.0, "windows_per_s": 100.0, "waiting": 0.25}
