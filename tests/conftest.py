"""The one test stack of a session; `make test` starts it before and removes it after."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from stack import REPOSITORY, Stack


@pytest.fixture(scope="session")
def stack() -> Stack:
    """Return the running test stack, its data folder holding the two real months."""
    environment_file = Path(os.environ.get("DRAYAGE_ENV_FILE", REPOSITORY / ".env.test"))
    if not environment_file.exists():
        pytest.fail(f"{environment_file} is missing: these tests need the test stack, which `make test` starts")
    stack = Stack(environment_file)
    for real_month in (REPOSITORY / "tests" / "data").glob("*.parquet"):
        shutil.copy(real_month, stack.data_folder / real_month.name)
    return stack
