import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.schema import DataError
from scripts.common.commands import step
from tests.scripts.commands import ROOT

PARENT = """
import signal, sys
from scripts.common import cli, commands
signal.signal(signal.SIGHUP, getattr(signal, sys.argv.pop()))
commands.sys.executable = sys.argv.pop()  # what is run in the place of Python
cli.run(lambda argv: commands.step("train"), resumes=True)
"""
CHILD = """#!/bin/sh
trap 'sleep 1; touch "$0.saved"; exit 1' INT
echo begun
for tenth in $(seq 600); do sleep 0.1; done
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_step_that_is_stopped_may_end_in_its_own_way(number: signal.Signals, tmp_path: Path) -> None:
    child = tmp_path / "child"
    child.write_text(CHILD)
    child.chmod(0o755)
    command = [sys.executable, "-c", PARENT, str(child), "SIG_DFL"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        lines = iter(parent.stdout.readline, "")
        assert "begun\n" in lines
        parent.send_signal(number)
        assert parent.wait() == 128 + number
        assert child.with_suffix(".saved").exists(), "it was not waited for"
        assert parent.stderr.read() == "stopped; the same command continues from here\n"


def test_a_path_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    child = tmp_path / "child"
    child.write_text("#!/bin/sh\necho begun\nsleep 1\n")
    child.chmod(0o755)
    command = [sys.executable, "-c", PARENT, str(child), "SIG_IGN"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert "begun\n" in iter(parent.stdout.readline, "")
        parent.send_signal(signal.SIGHUP)
        assert parent.wait() == 0


def test_a_step_that_fails_ends_the_path() -> None:
    with pytest.raises(DataError, match=r"scripts.records failed \(exit 1\), see above"):
        step("records", "stats", "--data=/nowhere")
