"""What every command shares: flags out of dataclasses, and errors in one line."""

import dataclasses
import os
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from model.errors import RunError
from pipeline.conversion.processes import WorkerError
from pipeline.schema import DataError
from scripts.common import signals

flags.disclaim_key_flags()  # flags defined here belong to the command that asks for them

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

AUGMENT = {
    "shift": "move the crop by up to so many pixels",
    "flip": "probability of left for right",
    "brightness": "add up to so many gray levels of 255",
    "contrast": "scale it by up to this share",
    "mask_frames": "hide runs of up to so many frames",
    "masks": "how many such runs",
    "speed": "change it by up to this share",
}  # the flags of an AugmentConfig, to train with and to preview


class Options:
    """The flags of a frozen dataclass: its defaults and rules are the flags' own.

    Args:
      config: a frozen dataclass; fields of bool, int, float, str, Literal, tuple[float, ...], tuple[str, ...], or one
        of them or None.
      help: field -> what the flag does; fields without help are no flags.
      names: field -> flag, where they differ.
    """

    def __init__(self, config: type, help: dict[str, str], names: dict[str, str] | None = None) -> None:
        self._config = config
        self._names = {field: (names or {}).get(field, field) for field in help}
        fields = {field.name: field for field in dataclasses.fields(config)}
        hints = typing.get_type_hints(config)
        for field, text in help.items():
            default = fields[field].default
            _define(self._names[field], hints[field], None if default is dataclasses.MISSING else default, text)

    def build(self, **fixed: Any) -> Any:
        """The dataclass from the parsed flags, with `fixed` for the other fields.

        Raises:
          DataError: the dataclass refuses a value; the flag is named.
        """
        values = {field: flags.FLAGS[name].value for field, name in self._names.items()}
        hints = typing.get_type_hints(self._config)
        values = {
            k: _tuple(v, self._names[k], hints[k]) if _is_tuple(hints[k]) and v is not None else v
            for k, v in values.items()
        }
        try:
            return self._config(**values, **fixed)
        except ValueError as error:
            field, _, rule = str(error).partition(":")
            name = self._names.get(field, field)
            raise DataError(f"--{name}:{rule} (see --help)") from error


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _is_tuple(hint: Any) -> bool:
    return any(typing.get_origin(choice) is tuple for choice in _alternatives(hint))


def _define(name: str, hint: Any, default: Any, text: str) -> None:
    if _is_tuple(hint):
        flags.DEFINE_list(name, None if default is None else [str(value) for value in default], text)
    elif typing.get_origin(hint) is typing.Literal:
        flags.DEFINE_enum(name, default, list(typing.get_args(hint)), text)
    else:
        _DEFINE[_alternatives(hint)[0]](name, default, text)


def _tuple(values: list[str], name: str, hint: Any) -> tuple[float, ...] | tuple[str, ...]:
    if any(typing.get_args(choice)[:1] == (str,) for choice in _alternatives(hint)):
        return tuple(values)
    try:
        return tuple(float(value) for value in values)
    except ValueError as error:
        raise DataError(f"--{name}: want numbers separated by commas, got {','.join(values)!r}") from error


def run(main: Callable[[list[str]], None], resumes: bool = False) -> None:
    """Parses the flags and runs `main` on what is left of the command line; a user's mistake is one line, exit 1.

    Args:
      main: the command.
      resumes: whether the same command continues where it was stopped, which is then printed.
    """

    def guarded(argv: list[str]) -> None:
        if not flags.FLAGS["verbosity"].present:  # on the command line; TensorFlow sets it as it loads
            logging.set_verbosity(logging.WARNING)  # its notices about checkpoints would break progress bars
        signals.raise_once()
        try:
            main(argv[1:])
            sys.stdout.flush()
        except BrokenPipeError:  # who reads the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (DataError, RunError, WorkerError, OSError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print(f"stopped{'; the same command continues from here' if resumes else ''}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            os._exit(1)  # all is in order: taking TensorFlow apart would cost seconds

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    if {"--help", "-h", "-help"} & set(argv):
        app.usage(writeto_stdout=True, shorthelp=True)
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.IllegalFlagValueError as error:
        missing = [name for name in flags.FLAGS if f"flag --{name}=None: " in str(error)]
        needed = f"needed and not given: {', '.join(f'--{name}' for name in missing)}"
        sys.exit(f"error: {needed if missing else error} (see --help)")
    except flags.Error as error:
        sys.exit(f"error: {error} (see --help)")


def no_arguments(argv: list[str]) -> None:
    """For commands that take flags alone.

    Raises:
      DataError: there are arguments.
    """
    if argv:
        raise DataError(f"unexpected argument {argv[0]!r}; this command takes flags alone (see --help)")


def table(rows: list[tuple[str, str]]) -> None:
    """Prints two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
