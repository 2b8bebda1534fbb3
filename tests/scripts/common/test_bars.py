import io

import pytest

from scripts.common import bars


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, clips: int = 1000) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    assert list(bars.bar(range(clips), desc="converting", unit="clip")) == list(range(clips))
    return stream.getvalue()


def test_a_bar_is_drawn_in_place_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(_Terminal(), monkeypatch)
    assert shown.startswith("\rconverting:   0%")
    assert "\rconverting: 100%" in shown
    assert shown.count("\n") == 1


def test_elsewhere_a_bar_is_a_line_at_its_start_and_one_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = _shown(io.StringIO(), monkeypatch).removesuffix("\n").split("\n")
    assert first.startswith("converting:   0%|          | 0/1000 [00:00<?, ?clip/s]")
    assert last.startswith("converting: 100%|##########| 1000/1000 [")


def test_elsewhere_each_state_between_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "LINE_S", 0.0)
    shown = _shown(io.StringIO(), monkeypatch, clips=4)
    assert "\r" not in shown
    states = [line.split("|")[2].split()[0] for line in shown.splitlines()]
    assert states == ["0/4", "1/4", "2/4", "3/4", "4/4"]


def test_elsewhere_a_bar_that_is_taken_away_leaves_no_blank_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "LINE_S", 0.0)
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    assert [list(bars.bar(range(2), leave=False)) for _ in bars.bar(range(2), leave=False)] == [[0, 1]] * 2
    lines = stream.getvalue().removesuffix("\n").split("\n")
    assert all(line.isprintable() and "|" in line for line in lines), lines
