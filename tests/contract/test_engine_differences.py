"""The lists of what cannot hold on an engine name tests that exist."""

import re
from pathlib import Path

from engine_differences import KUBERNETES, NOT_RUN_ON_KUBERNETES, REMOTE

HERE = Path(__file__).parent


def test_every_difference_is_of_a_test_that_is_there() -> None:
    """Otherwise a test that was renamed would leave its reason behind."""
    folders = (HERE, HERE / "engine", HERE.parent / "faults")
    code = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("test_*.py"))
    tests = set(re.findall(r"^def (test_\w+)\(", code, flags=re.MULTILINE))
    listed = {name.partition("[")[0] for name in (*REMOTE, *KUBERNETES, *NOT_RUN_ON_KUBERNETES)}
    assert listed - tests == set()
