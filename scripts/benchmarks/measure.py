"""Runs candidates in turn, each measurement in a process of its own; formats medians and ratios as a table.

A candidate is a program that takes one JSON argument and whose last printed line is a JSON object of numbers, with
`items` (what it processed) and `seconds` (its own clock, from ready to done) among them. What is seen from outside is
added here, so that it is taken alike for all.
"""

import contextlib
import dataclasses
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model.config import TABLES
from pipeline.records.storage import write_json
from pipeline.schema import DataError

ROOT = Path(__file__).parents[2]
BASELINES = ROOT / ".venv-baselines"  # one environment a baseline
SAMPLE_S = 0.5  # between two looks at the memory
MB = 1e6


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A candidate: its name in the table, the command of its program, and the program's argument."""

    name: str
    command: tuple[str, ...]
    argument: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The figures of one process.

    Attributes:
      figures: the program's own numbers, and
        `rate`: items / seconds, by the program's clock;
        `whole_s`: seconds from start to exit of the process, imports included;
        `cpu_s`: user and system seconds of it and all its processes;
        `process_mb`: peak resident memory of its largest process (VmHWM);
        `tree_mb`: peak of the sum over its processes of proportional resident memory (PSS: a page that n processes
        share counts 1/n in each), looked at every 0.5 s.
    """

    candidate: str
    figures: dict[str, float]


def variant(name: str, module: str, argument: dict[str, Any]) -> Candidate:
    """Returns a candidate of this project: `python -m MODULE` in this environment."""
    return Candidate(name, (sys.executable, "-m", module), argument)


def baselines(names: dict[str, str], argument: dict[str, Any]) -> list[Candidate]:
    """Returns the baselines whose environment exists; prints how to make the others.

    Args:
      names: baseline -> its name in the table. Baseline `x` is `baselines/x_baseline.py`, run by `.venv-baselines/x`,
        which `make baseline-x` makes from `baselines/x.txt`.
      argument: of all of them.
    """
    found = []
    for baseline, name in names.items():
        if (BASELINES / baseline / "ready").is_file():
            program = Path(__file__).parent / "baselines" / f"{baseline}_baseline.py"
            found.append(Candidate(name, (str(BASELINES / baseline / "bin" / "python"), str(program)), argument))
        else:
            print(f"without {name}: `make baseline-{baseline}` gets it")
    return found


def in_tensorflow(baseline: str, name: str, argument: dict[str, Any]) -> Candidate:
    """Returns a baseline that needs no environment of its own."""
    program = Path(__file__).parent / "baselines" / f"{baseline}_baseline.py"
    return Candidate(name, (sys.executable, str(program)), argument)


def alternate(candidates: Sequence[Candidate], rounds: int) -> Iterator[Measurement]:
    """Measures A B C, A B C, …, so that other load on the machine falls on all alike."""
    for _ in range(rounds):
        for candidate in candidates:
            yield measure(candidate)


def measure(candidate: Candidate) -> Measurement:
    """Runs one process to its end; ends all that it has started if this one is interrupted.

    Raises:
      DataError: it fails, or its last line is not what a candidate prints; its own last line of error is quoted.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process_mb = tree_mb = 0.0
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        began = os.times().elapsed
        command = [*candidate.command, json.dumps(candidate.argument)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr, start_new_session=True)
        try:
            while not _ended(process):
                memory = [_memory(pid) for pid in _session(process.pid)]
                process_mb = max([process_mb, *(peak for peak, _ in memory)])
                tree_mb = max(tree_mb, sum(share for _, share in memory))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        whole_s = os.times().elapsed - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures = _figures(candidate, process.returncode, _lines(stdout), _lines(stderr))
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seen = {"whole_s": whole_s, "cpu_s": cpu_s, "process_mb": process_mb / MB, "tree_mb": tree_mb / MB}
    return Measurement(candidate.name, {**figures, "rate": figures["items"] / figures["seconds"], **seen})


def _ended(process: subprocess.Popen) -> bool:
    try:
        process.wait(SAMPLE_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _session(leader: int) -> Iterator[int]:
    """Yields the processes of a session."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(entry.name)


def _memory(pid: int) -> tuple[float, float]:
    """Returns bytes: peak resident, and proportional now; zeros if the process has ended."""
    try:
        peak = _kilobytes(Path(f"/proc/{pid}/status"), "VmHWM:")
        return 1024 * peak, 1024 * _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    except OSError:
        return 0.0, 0.0


def _kilobytes(path: Path, key: str) -> float:
    lines = (line.split() for line in path.read_text().splitlines())
    return next((float(line[1]) for line in lines if line[0] == key), 0.0)


def _lines(file: Any) -> list[str]:
    file.seek(0)
    return [line for line in file.read().splitlines() if line.strip()] or [""]


def _figures(candidate: Candidate, status: int, printed: list[str], errors: list[str]) -> dict[str, float]:
    if status:
        raise DataError(f"{candidate.name}: failed (exit {status}): {errors[-1]}")
    try:
        figures = {key: float(value) for key, value in json.loads(printed[-1]).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{candidate.name}: want a JSON object of numbers as last line, got {printed[-1]!r}") from error
    if not (figures.get("items", 0) > 0 and figures.get("seconds", 0) > 0):
        raise DataError(f"{candidate.name}: want items and seconds above 0, got {printed[-1]!r}")
    return figures


def medians(measurements: Sequence[Measurement]) -> dict[str, dict[str, float]]:
    """Returns candidate -> figure -> median over the rounds."""
    figures: dict[str, dict[str, list[float]]] = {}
    for one in measurements:
        for key, value in one.figures.items():
            figures.setdefault(one.candidate, {}).setdefault(key, []).append(value)
    return {name: {key: statistics.median(values) for key, values in own.items()} for name, own in figures.items()}


def table(measurements: Sequence[Measurement], reference: str, unit: str, extra: dict[str, str] | None = None) -> str:
    """Formats a Markdown table of medians, a row for each candidate in the order they ran.

    Args:
      measurements: of all candidates and rounds.
      reference: the candidate whose median rate is 1.00.
      unit: of an item, such as "frames".
      extra: figure -> title, for figures of the programs' own that get a column.
    """
    extra = extra or {}
    titles = [
        "variant",
        f"{unit}/s",
        "lowest to highest",
        f"x {reference}",
        "whole s",
        "CPU s",
        "MB, largest process",
        "MB",
    ]
    rows = [[*titles, *extra.values()]]
    summary = medians(measurements)
    for name, figures in summary.items():
        rates = [one.figures["rate"] for one in measurements if one.candidate == name]
        ratio = figures["rate"] / summary[reference]["rate"]
        row = [name, _number(figures["rate"]), f"{_number(min(rates))} to {_number(max(rates))}", f"{ratio:.2f}"]
        row += [_number(figures[key]) for key in ("whole_s", "cpu_s", "process_mb", "tree_mb")]
        rows.append(row + [_number(figures[key]) if key in figures else "" for key in extra])
    return markdown(rows)


def markdown(rows: list[list[str]]) -> str:
    """Formats a Markdown table with aligned columns; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def check_table(name: str) -> None:
    """Refuses layers that VGG-M does not have.

    Raises:
      DataError: naming those that it has.
    """
    if name not in TABLES:
        raise DataError(f"--table: want one of {', '.join(TABLES)}, got {name!r}")


def machine() -> dict[str, Any]:
    """Describes the machine."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": names[0].partition(":")[2].strip() if names else platform.processor(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def save(path: Path, before: dict[str, Any], measurements: Sequence[Measurement]) -> None:
    """Writes every measurement, the medians, and the machine before them, as JSON."""
    every = [{"variant": one.candidate, **one.figures} for one in measurements]
    write_json(path, {"machine": before, "measured": every, "medians": medians(measurements)})
