"""The commands as a user runs them: in a process of their own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
