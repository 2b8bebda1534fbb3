import ctypes
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow loads

from pipeline.conversion.run_log import CONVERSION
from pipeline.records import reindex
from pipeline.records.codecs import Encoding
from pipeline.records.directory import DatasetDir
from tests import datasets, forks, stores

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

GRID_CLIPS = (
    "s1/bbaf2n",
    "s1/bbaf3s",
    "s1/bbaf4p",
    "s2/lgbm2n",
    "s2/lgbm3s",
    "s3/pwix6n",
    "s3/pwix7s",
    "s3/swwz1a",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of commands first: they take longest, and a long one at the end would keep one process waiting."""
    items.sort(key=lambda item: not ("scripts" in item.path.parts or item.path.parent == Path(__file__).parent))


@pytest.fixture(scope="session")
def grid_clips() -> Path:
    """Real clips in the layout of GRID."""
    if not (root := os.environ.get("LIPFLOW_GRID")):
        pytest.skip("needs real clips: set LIPFLOW_GRID to a directory in the layout of GRID")
    return Path(root)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sound clips of 16 to 23 frames in the layout of GRID."""
    root = tmp_path_factory.mktemp("corpus")
    for number, name in enumerate(GRID_CLIPS):
        datasets.write_grid_clip(root, name, 16 + number)
    return root


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], DatasetDir]:
    """A dataset of an encoding: 13 training clips in three shards, two for validation. Only read it."""
    made: dict[str, DatasetDir] = {}

    def make(name: str = "raw") -> DatasetDir:
        if name not in made:
            clips = [datasets.clip(f"s{n % 3}/c{n:02}", 10 + n % 7, seed=n) for n in range(15)]
            splits = {"train": [clips[:5], clips[5:9], clips[9:13]], "val": [clips[13:]]}
            made[name] = datasets.write_dataset(tmp_path_factory.mktemp(name), splits, Encoding(name))
        return made[name]

    return make


@pytest.fixture(scope="session")
def golden_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of an older version, upgraded. Only read it."""
    root = tmp_path_factory.mktemp("golden") / "dataset"
    shutil.copytree(datasets.GOLDEN / "dataset", root)
    list(reindex.upgrade(root))
    return root


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.Store]:
    """A moto server behind the proxy, for this process.

    Its environment stays: a stream that a test has left opens a client at any time, which later ones would get.
    """
    with stores.running(tmp_path_factory.mktemp("moto")) as store, stores.entered(store):
        yield store


@pytest.fixture
def store(served: stores.Store) -> Iterator[stores.Store]:
    """The same, without faults and with new clients."""
    served.rule()
    stores.forget()
    yield served
    served.rule()
    stores.forget()


@pytest.fixture(scope="module")
def forked_workers() -> Iterator[None]:
    with forks.workers():
        yield


@pytest.fixture
def mortal() -> Iterator[None]:
    """Takes from root what other users do not have: reading what the modes of files and directories forbid."""
    libc = ctypes.CDLL(None)
    head, had = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # version 3, this thread
    assert libc.capget(head, had) == 0
    less = type(had)(had[0] & ~0b110, *had[1:])  # effective: without CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(head, less) == 0
    yield
    assert libc.capset(head, had) == 0


@pytest.fixture
def digest() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file below a directory, hidden ones too, but for what tells how the conversion went."""

    def of(root: Path) -> dict[str, str]:
        files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != CONVERSION)
        return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return of
