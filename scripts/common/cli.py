"""Flags out of dataclasses, errors in one line, tables."""

import contextlib
import dataclasses
import functools
import os
import sys
import traceback
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from absl import app, flags, logging

from model.errors import RunError, WorkersError
from pipeline.conversion.processes import WorkerError
from pipeline.records import bucket, storage
from pipeline.schema import DataError
from scripts.common import help_page, native_messages, signals

flags.disclaim_key_flags()  # flags defined here belong to the command that defines them

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

AUGMENT = {
    "shift": "Largest shift of the crop, in pixels.",
    "flip": "Probability of a horizontal flip.",
    "speed": "Largest relative change of speed.",
    "brightness": "Largest change in gray levels of 255.",
    "contrast": "Largest relative change of contrast.",
    "zoom": "Largest relative stretch of height and of width.",
    "erase": "Probability that a rectangle is hidden in all frames of an example.",
    "mask_frames": "Largest number of consecutive frames that are hidden.",
    "masks": "Number of such hidden runs.",
}  # the flags of an AugmentConfig, to train with and to preview; `splice`, which takes two clips, cannot be previewed


class Options:
    """The flags of a frozen dataclass, with its defaults and rules.

    Args:
      config: a frozen dataclass; fields of bool, int, float, str, Literal, tuple[float, ...], tuple[str, ...], or one
        of them or None.
      help: field -> what the flag does; a field without help gets no flag.
      names: field -> flag, if they differ.
      repeated: fields of tuple[str, ...] whose flag gives one text and is repeated, since commas belong to the text.
    """

    def __init__(
        self, config: type, help: dict[str, str], names: dict[str, str] | None = None, repeated: Collection[str] = ()
    ) -> None:
        self._config = config
        self._names = {field: (names or {}).get(field, field) for field in help}
        fields = {field.name: field for field in dataclasses.fields(config)}
        hints = typing.get_type_hints(config)
        for field, text in help.items():
            default = fields[field].default
            if field in repeated:
                flags.DEFINE_multi_string(self._names[field], list(default), text)
                continue
            _define(self._names[field], hints[field], None if default is dataclasses.MISSING else default, text)

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Gives the flags that the user has not given the values of their fields, as JSON has them."""
        for field, name in self._names.items():
            flags.FLAGS.set_default(name, values[field])

    def build(self, **fixed: Any) -> Any:
        """Builds the dataclass from the parsed flags, with `fixed` for other fields or in place of flags.

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
            return self._config(**{**values, **fixed})
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


def run(
    main: Callable[[list[str]], None],
    resumes: bool = False,
    at_once: bool = False,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Parses the flags and runs `main` on the other arguments; a user's mistake is one line and exit code 1.

    A signal that ends the command gives the exit code of `signals.exit_code`. The loss of another worker is one line
    and exit code 75: the same command on all workers continues.

    Args:
      main: the command.
      resumes: whether the same command continues where it was stopped, which is then printed.
      at_once: whether the process ends without unloading its libraries, which may take seconds, or wait for others.
      groups: how `--help` groups the flags, as `help_page.render` takes it.
    """
    native_messages.divert()

    try:
        app.run(functools.partial(_guarded, main, resumes), flags_parser=functools.partial(_parse, groups or {}))
    except SystemExit as ended:
        if bucket.is_read_in_graph or at_once:
            _exit_at_once(ended.code)
        raise
    except Exception:
        if at_once:
            traceback.print_exc()
            _exit_at_once(1)
        raise


def _guarded(main: Callable[[list[str]], None], resumes: bool, argv: list[str]) -> None:
    """Runs `main`; turns a user's mistake, a lost worker and a signal into one line and an exit code."""
    _silence_notices()
    signals.raise_once()
    try:
        main(argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except WorkersError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)
    except (DataError, RunError, WorkerError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stopped:
        print(f"stopped{_how_to_continue() if resumes else ''}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        number = stopped.number if isinstance(stopped, signals.Stopped) else signals.Stopped().number
        os._exit(signals.exit_code(number))  # unloading TensorFlow would take seconds


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """For the one import of a `main`, of what the command does, once its flags are found good.

    So `--help` and a mistake in a flag do not wait for TensorFlow. A signal ends the command at once meanwhile.
    """
    with signals.loading():
        yield
    _silence_notices()


def _silence_notices() -> None:
    """Hides notices, such as those about checkpoints, which would break progress bars, unless --verbosity is given."""
    if not flags.FLAGS["verbosity"].present:  # TensorFlow sets it when it loads
        logging.set_verbosity(logging.WARNING)


def _how_to_continue() -> str:
    anew = "overwrite" in flags.FLAGS and flags.FLAGS.overwrite
    return f"; the same command{' without --overwrite' if anew else ''} continues from here"


def _exit_at_once(code: str | int | None) -> None:
    """Ends as `sys.exit` would, but unloads nothing: tensorflow-io's file system and a lost worker would not let it."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if isinstance(code, str) else code or 0)


def _parse(groups: Mapping[str, Iterable[str]], argv: list[str]) -> list[str]:
    if {"--help", "-h", "-help"} & set(argv):
        doc, found = sys.modules["__main__"].__doc__ or "", flags.FLAGS.get_key_flags_for_module("__main__")
        print(help_page.render(doc, found, groups), end="")
        sys.exit(0)
    try:
        return flags.FLAGS(argv)
    except flags.IllegalFlagValueError as error:
        missing = [name for name in flags.FLAGS if f"flag --{name}=None: " in str(error)]
        needed = f"missing: {', '.join(f'--{name}' for name in missing)}"
        sys.exit(f"error: {needed if missing else error} (see --help)")
    except flags.Error as error:
        sys.exit(f"error: {error} (see --help)")


def no_arguments(argv: list[str]) -> None:
    """Refuses arguments, for commands that take flags alone.

    Raises:
      DataError: there are arguments.
    """
    if argv:
        raise DataError(f"unexpected argument {argv[0]!r}; this command takes flags alone (see --help)")


def check_local(*names: str) -> None:
    """Refuses URLs in flags of files and directories that lie on this machine alone.

    Raises:
      DataError: one is given.
    """
    for name in names:
        if flags.FLAGS[name].value is not None:
            storage.local(flags.FLAGS[name].value)


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as `1 clip` or `1,200 clips`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def table(rows: list[tuple[str, str]]) -> None:
    """Prints two aligned columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
