"""The flags of a command that trains or scores on a dataset, which may lie in a store."""

import math
from pathlib import Path

from absl import flags

from pipeline.records import storage
from pipeline.records.cache import Cache
from pipeline.schema import DataError
from scripts.common import cli

flags.disclaim_key_flags()

CACHE_GB = 50.0


def define() -> None:
    """Defines --cache_dir and --cache_gb."""
    flags.DEFINE_string(
        "cache_dir", None, "local directory that keeps the records of --data in a store, so that each is fetched once"
    )
    flags.DEFINE_float("cache_gb", CACHE_GB, "largest size of --cache_dir, in 1e9 bytes", lower_bound=0)


def check(names: list[str]) -> None:
    """Refuses names of datasets that are none, and flags of a cache that do not fit them or each other.

    Raises:
      DataError: naming the flag, and what to do.
    """
    values, places = flags.FLAGS, [storage.place(name) for name in names]
    if values["cache_gb"].present and values.cache_dir is None:
        raise DataError(f"--cache_gb={values.cache_gb:g}: needs --cache_dir; give it, or leave this out")
    cli.check_local("cache_dir")
    if values.cache_dir is not None and all(isinstance(place, Path) for place in places):
        raise DataError(f"--cache_dir: needs --data in a store, and {names[0]} is on a disk; leave it out")
    if math.isnan(values.cache_gb):  # which no bound of a flag excludes
        raise DataError("--cache_gb: want a number, got nan")


def cache() -> Cache | None:
    """Returns what keeps the records of a store, if a flag asks for it; `directory.open_dataset` takes it."""
    values = flags.FLAGS
    return None if values.cache_dir is None else Cache(values.cache_dir, int(1e9 * values.cache_gb))
