"""The commands as a user runs them, each in a process of its own: forked to save time, but for those of `start`."""

import contextlib
import importlib
import io
import json
import runpy
import subprocess
import sys

from tests import forks

ROOT = forks.ROOT
PYTHON = sys.executable


def start(name: str, *arguments: str) -> subprocess.Popen:
    """`python -m scripts.NAME ARGUMENTS`, under way."""
    command = [sys.executable, "-m", f"scripts.{name}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(name: str, arguments: tuple[str, ...], before: str = "") -> None:
    exec(before, {})
    sys.argv = ["-m", *arguments]
    runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)


def fork(name: str, *arguments: str) -> forks.Forked:
    """A command, under way."""
    return forks.Forked(_run, name, arguments)


def run(*commands: list[str]) -> list[str]:
    """What commands that succeed, side by side, print."""
    printed = []
    for process in [fork(*command) for command in commands]:
        code, stdout, stderr = process.end()
        assert code == 0, stderr
        printed.append(stdout)
    return printed


def altered(before: str, name: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it prints, in a process that first executes some Python."""
    return forks.Forked(_run, name, arguments, before).end()[:2]


def mistakes(*cases: tuple[list[str], list[object]]) -> None:
    """Checks that each command, two at a time, fails with one line that names all it should."""
    for first in range(0, len(cases), 2):
        pair = cases[first : first + 2]
        for process, (command, named) in zip([fork(*command) for command, _ in pair], pair, strict=True):
            code, _, stderr = process.end()
            assert code == 1, command
            assert stderr.startswith("error: "), stderr
            assert stderr.count("\n") == 1, stderr
            assert [name for name in named if str(name) not in stderr] == [], stderr


def in_turn(name: str, *cases: list[str], before: str = "") -> list[tuple[int | str | None, str]]:
    """Runs a command many times, in one process to save time: the exit code or error, and what is printed, of each.

    `before` is Python that the process executes once its `command` is imported.
    """
    code, stdout, stderr = forks.Forked(_run_in_turn, name, cases, before).end()
    assert code == 0, stderr
    return [(end, printed) for end, printed in json.loads(stdout)]


def _run_in_turn(name: str, cases: tuple[list[str], ...], before: str) -> None:
    from absl.testing import flagsaver

    from scripts.common import cli

    command, ends = importlib.import_module(f"scripts.{name}"), []
    exec(before, {"command": command})
    for arguments in cases:
        sys.argv = [name, *arguments]
        with flagsaver.flagsaver(), contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                cli.run(command.main)
            except SystemExit as end:
                ends.append((end.code, printed.getvalue()))
    print(json.dumps(ends))


def mistakes_in_turn(name: str, *cases: tuple[list[str], list[object]]) -> None:
    """Checks as `mistakes` does, for many cases of one command in one process."""
    ends = in_turn(name, *(arguments for arguments, _ in cases))
    for (given, named), (end, _) in zip(cases, ends, strict=True):
        assert isinstance(end, str), (given, end)
        assert end.startswith("error: ")
        assert "\n" not in end
        assert [name for name in named if str(name) not in end] == [], (given, end)
