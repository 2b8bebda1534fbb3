"""The commands as a user runs them: in a process of their own."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
IN_TURN = """
import contextlib, importlib, io, json, sys
from absl.testing import flagsaver
from scripts.common import cli
name, cases, before = json.loads(sys.argv[1])
command, ends = importlib.import_module(f"scripts.{name}"), []
exec(before)
for arguments in cases:
    sys.argv = [name, *arguments]
    with flagsaver.flagsaver(), contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            cli.run(command.main)
        except SystemExit as end:
            ends.append((end.code, printed.getvalue()))
print(json.dumps(ends))
"""
ALTERED = """
import runpy, sys
_, before, name, *arguments = sys.argv
exec(before)
sys.argv = ["-m", *arguments]
runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)
"""


def start(name: str, *arguments: str) -> subprocess.Popen:
    """`python -m scripts.NAME ARGUMENTS`, under way."""
    command = [sys.executable, "-m", f"scripts.{name}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*commands: list[str]) -> list[str]:
    """What commands that succeed, side by side, print."""
    printed = []
    for process in [start(*command) for command in commands]:
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        printed.append(stdout)
    return printed


def altered(before: str, name: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it prints, in a process that first executes some Python."""
    command = [sys.executable, "-c", ALTERED, before, name, *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return process.returncode, process.stdout


def mistakes(*cases: tuple[list[str], list[object]]) -> None:
    """Checks that each command, two at a time, fails with one line that names all it should."""
    for first in range(0, len(cases), 2):
        pair = cases[first : first + 2]
        for process, (command, named) in zip([start(*command) for command, _ in pair], pair, strict=True):
            stderr = process.communicate()[1]
            assert process.returncode == 1, command
            assert stderr.startswith("error: "), stderr
            assert stderr.count("\n") == 1, stderr
            assert [name for name in named if str(name) not in stderr] == [], stderr


def in_turn(name: str, *cases: list[str], before: str = "") -> list[tuple[int | str | None, str]]:
    """Runs a command many times, in one process to save time: the exit code or error, and what is printed, of each.

    `before` is Python that the process executes once its `command` is imported.
    """
    process = subprocess.run(
        [sys.executable, "-c", IN_TURN, json.dumps([name, cases, before])], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return [(end, printed) for end, printed in json.loads(process.stdout)]


def mistakes_in_turn(name: str, *cases: tuple[list[str], list[object]]) -> None:
    """Checks as `mistakes` does, for many cases of one command in one process."""
    ends = in_turn(name, *(arguments for arguments, _ in cases))
    for (given, named), (end, _) in zip(cases, ends, strict=True):
        assert isinstance(end, str), (given, end)
        assert end.startswith("error: ")
        assert "\n" not in end
        assert [name for name in named if str(name) not in end] == [], (given, end)
