"""The flags of `scripts.records`, and what its commands take."""

import os
from pathlib import Path

from absl import flags

from pipeline.loading.config import AugmentConfig
from pipeline.records import storage
from pipeline.records.storage import Place
from pipeline.schema import DataError
from scripts.common import cli

flags.disclaim_key_flags()

COMMANDS = ("stats", "verify", "show", "preview", "report", "index", "upgrade", "diff")
PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
OUTPUTS = {  # command -> name of its file by default, what the file is, and its endings
    "preview": ("preview.png", "a picture", tuple(PICTURES)),
    "report": ("report.html", "an HTML file", (".html", ".htm")),
}
GROUPS = {  # of --help
    "What to look at": ("data", "id", "clips", "seed", "measure", "output", "all", "augment"),
    "Augmentation, with --augment of preview": tuple(cli.AUGMENT),
}
VARIANTS = 3  # augmentation draws of each clip
MAX_NAMED = 5  # clips of each kind of difference


def define() -> cli.Options:
    """Defines all flags; returns those of augmentation."""
    flags.DEFINE_string("data", None, "dataset directory or URL; diff takes two as its arguments instead")
    flags.DEFINE_string("id", None, "show, preview: id of the clip; default: the first (show), a random draw (preview)")
    flags.DEFINE_integer(
        "clips",
        None,
        "number of clips that preview (default 4) and report (12) show, and that diff opens (100)",
        lower_bound=1,
        upper_bound=100,
    )
    flags.DEFINE_integer("seed", 0, "preview, report: seed of the random draw", lower_bound=0)
    flags.DEFINE_integer(
        "measure",
        300,
        "report: number of clips, drawn at random, among which it looks for unusual brightness and places of the mouth",
        lower_bound=0,
        upper_bound=5000,
    )
    flags.DEFINE_string(
        "output",
        None,
        "preview, report: file to write; default: DIR-preview.png or DIR-report.html beside --data=DIR, in the current "
        "directory if that lies in a store",
    )
    flags.DEFINE_bool("augment", False, f"preview: show {VARIANTS} augmentations of each clip, by the flags below")
    flags.DEFINE_bool("all", False, f"diff: name every clip, not only the first {MAX_NAMED} of a kind")
    return cli.Options(AugmentConfig, cli.AUGMENT)


def check(argv: list[str]) -> tuple[str, list[Place]]:
    """Returns the command that is asked for, and the dataset directories that it takes.

    Raises:
      DataError: no such command, other datasets than it takes, or an output that it cannot write.
    """
    command, *rest = argv or [""]
    values = flags.FLAGS
    if command == "diff":
        if len(rest) != 2 or values.data is not None:
            raise DataError(
                f"diff takes two dataset directories and no --data, got {' '.join(rest) or 'none'} (see --help)"
            )
        return command, [storage.place(root) for root in rest]
    if rest or command not in COMMANDS:
        raise DataError(f"want one of {', '.join(COMMANDS)}, got {' '.join(argv) or 'nothing'} (see --help)")
    if values.data is None:
        raise DataError("missing: --data (see --help)")
    if command in OUTPUTS and values.output:
        check_output(command, storage.local(values.output))
    return command, [storage.place(values.data)]


def check_output(command: str, output: Path) -> None:
    """Refuses a file that cannot be written or is of another kind than the command's.

    Raises:
      DataError: naming it, and what to do.
    """
    name, kind, endings = OUTPUTS[command]
    if output.is_dir():
        raise DataError(f"--output={output}: is a directory; name a file such as {output / name}")
    if not output.parent.is_dir():
        raise DataError(f"--output={output}: no such directory {output.parent}; make it, or name another")
    if not os.access(output.parent, os.W_OK):
        raise DataError(f"{output.parent}: is not writable; name a file elsewhere with --output")
    if output.suffix.lower() not in endings:
        raise DataError(f"--output={output}: not {kind}; name a file such as {name}")


def augmentation(options: cli.Options) -> AugmentConfig | None:
    """Returns the augmentation of --augment; None without the flag.

    Raises:
      DataError: a value is refused, or none is given.
    """
    if not flags.FLAGS.augment:
        return None
    config = options.build()
    if config == AugmentConfig():
        raise DataError(f"--augment: no augmentation is given; give some of --{', --'.join(cli.AUGMENT)}")
    return config
