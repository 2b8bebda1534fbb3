"""Removes a dataset, or an unfinished conversion, so that another one can be made in its place."""

import dataclasses
import re

from pipeline.conversion.lock import LOST, REMOVAL, check_free
from pipeline.conversion.processes import CRASHES
from pipeline.conversion.progress import PROGRESS
from pipeline.conversion.run_log import CONVERSION
from pipeline.records import directory, provenance, storage, tfds_metadata
from pipeline.records.storage import Place
from pipeline.schema import DataError

SHARD = re.compile(r"\w+-(train|val|test)\.tfrecord-\d{5}-of-\d{5}")
TEMPORARY = re.compile(r"\..*\.tmp")
FILES = {
    *(directory.MANIFEST, directory.INDEX, directory.REJECTED, provenance.FILE, CONVERSION, CRASHES),
    *tfds_metadata.FILES,
}


@dataclasses.dataclass(frozen=True)
class Removal:
    """What a directory holds of a conversion.

    Attributes:
      output: the directory.
      files: the names of the files in it that the conversion wrote.
      bytes: their size.
      finished: the number of clips of the dataset; None where it is unfinished.
    """

    output: Place
    files: list[str]
    bytes: int
    finished: int | None

    def __str__(self) -> str:
        what = "an unfinished conversion" if self.finished is None else f"a dataset of {self.finished:,} clips"
        return f"{what}, {len(self.files)} files, {self.bytes / 1e6:,.1f} MB"


def plan(output: Place) -> Removal | None:
    """Returns what would be removed; None where there is nothing. Removes nothing.

    Raises:
      DataError: the directory holds something that no conversion writes, which is named.
      BusyError: a conversion is at work there.
    """
    if storage.is_no_directory(output):
        raise DataError(f"{output}: is a file; --output needs a directory")
    found = {name for name in storage.entries(output) if not TEMPORARY.fullmatch(name)}
    files = sorted(name for name in found if name in FILES or SHARD.fullmatch(name))
    if strangers := sorted(found - {*files, PROGRESS, LOST}):
        raise DataError(f"{output}: holds something else, such as {strangers[0]!r}; move it, or name another --output")
    finished = directory.MANIFEST in files
    if not finished and PROGRESS not in found:
        if files:
            raise DataError(f"{output}: holds {files[0]!r} but no conversion; remove it, or name another --output")
        return None
    check_free(output)
    records = _records(output) if finished else None
    return Removal(output, files, sum(storage.size(output / name) for name in files), records)


def remove(removal: Removal) -> None:
    """Removes a conversion, the manifest first, so that what is left of it is never taken for a dataset.

    If it is killed, what is left counts as an unfinished conversion, which `plan` finds and `remove` removes.
    """
    output = removal.output
    storage.make_dir(output / PROGRESS)
    storage.write_json(output / PROGRESS / REMOVAL, removal.files)
    for name in sorted(removal.files, key=lambda name: name != directory.MANIFEST):
        storage.remove(output / name)
    if storage.is_dir(output / PROGRESS):
        storage.remove_dir(output / PROGRESS)
    storage.remove_leftovers(output)


def _records(output: Place) -> int:
    """The number of records by the manifest, which may be of any version."""
    splits = directory.read_manifest(output).get("splits", {})
    return sum(split["records"] for split in splits.values())
