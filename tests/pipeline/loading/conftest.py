from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from tests.stores import Store

Hold = Callable[[DatasetDir], DatasetDir]


@pytest.fixture(params=["disk", "store"])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    """Opens a dataset directory anew, as it is now, on a disk or in a store."""
    if request.param == "disk":
        return lambda dataset: directory.open_dataset(dataset.root)
    store: Store = request.getfixturevalue("store")
    return lambda dataset: directory.open_dataset(store.put_tree(dataset.root, f"{tmp_path.name}/{dataset.root.name}"))
