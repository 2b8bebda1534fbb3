"""The text of `--help`: what a command does, then its flags in groups."""

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from absl import flags

MAX_WIDTH = 100  # characters of a line
REPEAT = ";\n    repeat this option"
PLACEHOLDERS = {flags.IntegerParser: "N", flags.FloatParser: "X", flags.ListParser: "A,B"}


def render(doc: str, found: Sequence[flags.Flag], groups: Mapping[str, Iterable[str]]) -> str:
    """Returns the whole text.

    Args:
      doc: docstring of the command.
      found: its flags, in the order in which they were defined.
      groups: heading -> names of flags in the order of their use; flags of no group follow as "Flags".
    """
    known = {flag.name: flag for flag in found}
    grouped = {name for names in groups.values() for name in names}
    rest = [name for name in known if name not in grouped]
    width = min(MAX_WIDTH, shutil.get_terminal_size().columns)
    parts = [doc.strip()]
    for heading, names in {**groups, **({"Flags": rest} if rest else {})}.items():
        parts.append("\n".join([f"{heading}:", *(_entry(known[name], width) for name in names)]))
    return "\n\n".join(parts) + "\n"


def _entry(flag: flags.Flag, width: int) -> str:
    """A flag's name with what it takes, and below it what it does."""
    lines = f"{_sentence(_own_help(flag))}{_default(flag)}".split("\n")
    indent = " " * 6
    wrapped = [
        textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        for line in lines
    ]
    return "\n".join([f"  {_spelled(flag)}", *wrapped])


def _own_help(flag: flags.Flag) -> str:
    """A flag's help without what absl adds: the choices in front, and that it may be repeated."""
    return flag.help.removeprefix(f"<{'|'.join(getattr(flag.parser, 'enum_values', ()))}>: ").split(REPEAT)[0]


def _spelled(flag: flags.Flag) -> str:
    if flag.boolean:
        return f"--[no]{flag.name}"
    if isinstance(flag.parser, flags.EnumParser):
        return f"--{flag.name}={'|'.join(flag.parser.enum_values)}"
    return f"--{flag.name}={PLACEHOLDERS.get(type(flag.parser), 'TEXT')}"


def _sentence(text: str) -> str:
    """Begins a text with a capital, unless it begins with a value or a name, and ends it with a full stop."""
    first = text.split(" ", 1)[0]
    text = text[0].upper() + text[1:] if first.rstrip(",;").isalpha() else text
    return text if text.endswith((".", ";")) else f"{text}."


def _default(flag: flags.Flag) -> str:
    if any("must have a value" in validator.message for validator in flag.validators):
        return " Required."
    shown = (flag.default_as_str or "").strip("'")
    return f" Default: {shown}." if shown not in ("", "[]") and "default:" not in flag.help.lower() else ""
