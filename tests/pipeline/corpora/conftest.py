from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for tests whose examples overwrite each other's files."""
    return tmp_path_factory.mktemp("scratch")
