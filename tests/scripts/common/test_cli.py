import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import pytest
from absl import flags
from absl.testing import flagsaver

from model.errors import RunError
from pipeline.conversion.processes import WorkerError
from pipeline.schema import DataError
from scripts.common import cli, help_page, signals
from tests.scripts import commands


@dataclasses.dataclass(frozen=True)
class Oven:
    dish: str
    heat: int = 180
    share: float = 0.5
    mode: Literal["top", "fan"] = "fan"
    box: tuple[float, ...] | None = None
    minutes: float | None = None
    fast: bool = False
    spices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.heat > 300:
            raise ValueError(f"heat: want at most 300, got {self.heat}")


HELP = {name: f"about {name}" for name in ("heat", "share", "mode", "box", "minutes", "fast", "spices")}
FLAGS = {"heat": "oven_heat", "mode": "oven_mode", "box": "oven_box"}
OPTIONS = cli.Options(Oven, HELP, names=FLAGS, repeated=("spices",))
NAMES = ("oven_heat", "share", "oven_mode", "oven_box", "minutes", "fast")


def build(*arguments: str) -> Oven:
    with flagsaver.flagsaver():
        flags.FLAGS(["test", *arguments])
        return OPTIONS.build(dish="pie")


def test_defaults_are_those_of_the_dataclass() -> None:
    assert build() == Oven("pie")
    assert all(flags.FLAGS[name].help.endswith(f"about {name.removeprefix('oven_')}") for name in NAMES)


def test_flags_become_fields_of_their_type() -> None:
    got = build("--oven_heat=200", "--share=0.25", "--oven_mode=top", "--oven_box=0,.5,1e0", "--minutes=3", "--fast")
    assert got == Oven("pie", 200, 0.25, "top", (0.0, 0.5, 1.0), 3.0, True)


def test_a_repeated_flag_keeps_its_commas() -> None:
    assert build("--spices=salt, coarse", "--spices= mint").spices == ("salt, coarse", " mint")


def test_a_refused_value_names_the_flag() -> None:
    with pytest.raises(DataError, match=r"^--oven_heat: want at most 300, got 400 \(see --help\)$"):
        build("--oven_heat=400")
    with pytest.raises(DataError, match="--oven_box: want numbers separated by commas, got 'a,b'"):
        build("--oven_box=a,b")
    with pytest.raises(flags.IllegalFlagValueError, match="oven_mode"):
        build("--oven_mode=grill")


def test_arguments_are_refused_where_none_are_taken() -> None:
    cli.no_arguments([])
    with pytest.raises(DataError, match="unexpected argument 'data'; this command takes flags alone"):
        cli.no_arguments(["data"])


def test_table_aligns_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    cli.table([("a", "1"), ("long", "x y")])
    assert capsys.readouterr().out == "a     1\nlong  x y\n"


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back what a command does on signals."""
    before = {number: signal.getsignal(number) for number in signals.STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("kind", [DataError, RunError, WorkerError, OSError])
def test_a_users_mistake_is_one_line_and_a_failure(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def main(argv: list[str]) -> None:
        assert argv == ["word"]
        raise kind("what went wrong")

    monkeypatch.setattr("sys.argv", ["program", "word"])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stopped:
        cli.run(main)
    assert stopped.value.code == "error: what went wrong"  # Python prints it on stderr and exits with 1


@pytest.mark.parametrize(
    ("number", "how", "said", "code"),
    [
        (signal.SIGINT, "", "stopped\n", 130),
        (signal.SIGTERM, ", resumes=True", "stopped; the same command continues from here\n", 143),
    ],
    ids=str,
)
def test_a_signal_stops_once_with_one_line(number: signal.Signals, how: str, said: str, code: int) -> None:
    main = f"""
import os, time
from scripts.common import cli, help_page, signals

def main(argv):
    try:
        os.kill(os.getpid(), {number})
        time.sleep(60)
    finally:
        os.kill(os.getpid(), {number})
        print("cleaned up")

cli.run(main{how})
"""
    stopped = subprocess.run([sys.executable, "-c", main], cwd=commands.ROOT, capture_output=True, text=True)
    assert (stopped.returncode, stopped.stdout) == (code, "cleaned up\n")
    assert stopped.stderr == said


def test_a_signal_while_a_command_loads_its_libraries_ends_it_at_once() -> None:
    main = """
import os, signal, time
from scripts.common import cli

def main(argv):
    with cli.loading():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        except BaseException:  # as in some library
            pass

cli.run(main, resumes=True)
"""
    stopped = subprocess.run([sys.executable, "-c", main], cwd=commands.ROOT, capture_output=True, text=True)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (130, "", "stopped before it started\n")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_who_has_seen_enough_is_no_error(lines: int) -> None:
    main = f"from scripts.common import cli\ncli.run(lambda argv: [print('a line of many') for _ in range({lines})])"
    process = subprocess.Popen(
        [sys.executable, "-c", main], cwd=commands.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.parametrize("asked", [False, True])
def test_notices_of_libraries_break_no_progress_bar_unless_asked_for(asked: bool) -> None:
    main = """
from absl import logging
from scripts.common import cli

def main(argv):
    with cli.loading():
        import tensorflow
    logging.info("a notice")
    logging.warning("a warning")

cli.run(main)
"""
    command = [sys.executable, "-c", main, *["--verbosity=0"] * asked]
    said = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True, check=True).stderr
    assert ("a notice" in said, "a warning" in said) == (asked, True)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--colour", "error: Unknown command line flag 'colour' (see --help)"),
        ("--oven_mode=x", "error: flag --oven_mode=x: value should be one of <top|fan> (see --help)"),
    ],
)
def test_a_bad_flag_is_one_line_and_a_failure(monkeypatch: pytest.MonkeyPatch, flag: str, message: str) -> None:
    monkeypatch.setattr("sys.argv", ["program", flag])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as stopped:
        cli.run(pytest.fail)
    assert stopped.value.code == message


NATIVE = """
import ctypes, logging, os, sys
from scripts.common import cli

def main(argv):
    os.write(2, b"a notice of a library\\n")
    print("of Python", file=sys.stderr)
    END

cli.run(main)
"""


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("", 0, ["of Python"]),
        ("raise cli.DataError('wrong')", 1, ["of Python", "error: wrong"]),
        ("os.abort()", -signal.SIGABRT, ["of Python", "Fatal Python error: Aborted"]),
    ],
    ids=["an end", "an error", "a crash"],
)
def test_only_what_python_says_reaches_the_user(end: str, code: int, said: list[str]) -> None:
    command = [sys.executable, "-c", NATIVE.replace("END", end)]
    ended = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.splitlines()[: len(said)]) == (code, said)
    asked = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    heard = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True, env=asked)
    assert heard.stderr.splitlines()[0] == "a notice of a library"


HELP_PAGE = """A command.

Heat:
  --oven_heat=N
      Degrees. Default: 180.
  --oven_mode=top|fan
      Which heat. top: from above. Default: fan.

Flags:
  --dish=TEXT
      File to bake. Required.
  --[no]fast
      Hurry; default: no.
"""


def test_help_groups_flags_in_the_order_given() -> None:
    own = flags.FlagValues()
    flags.DEFINE_string("dish", None, "file to bake", flag_values=own, required=True)
    flags.DEFINE_enum("oven_mode", "fan", ["top", "fan"], "which heat. top: from above", flag_values=own)
    flags.DEFINE_bool("fast", False, "hurry; default: no", flag_values=own)
    flags.DEFINE_integer("oven_heat", 180, "degrees", flag_values=own)
    found = [own[name] for name in ("dish", "oven_mode", "fast", "oven_heat")]
    assert help_page.render("A command.\n", found, {"Heat": ["oven_heat", "oven_mode"]}) == HELP_PAGE


@pytest.mark.usefixtures("handlers")
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["program"])
    with flagsaver.flagsaver(), pytest.raises(ZeroDivisionError):
        cli.run(lambda argv: print(1 / len(argv)))
