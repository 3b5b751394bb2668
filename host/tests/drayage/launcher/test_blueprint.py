import json
from dataclasses import fields

import pytest
from blueprints import blueprint

from drayage.launcher.blueprint import Blueprint


@pytest.mark.parametrize("name", [it.name for it in fields(Blueprint)])
def test_whatever_changes_makes_another_run_worker(name: str) -> None:
    """One that was made from anything else than its run needs would execute it wrongly."""
    now = getattr(blueprint(), name)
    other = {**now, "new": "1"} if isinstance(now, dict) else [*now, "m"] if isinstance(now, list) else f"{now}x"
    assert blueprint(**{name: other}).key != blueprint().key
    assert blueprint().key == blueprint().key


def test_the_order_of_settings_makes_no_other_run_worker() -> None:
    assert blueprint(options={"a": 1, "b": 2}).key == blueprint(options={"b": 2, "a": 1}).key


def test_a_brief_is_one_line_and_has_no_secret() -> None:
    """The environment is the container's, and is not sent a second time."""
    brief = blueprint(origin="two\nlines").brief
    assert brief.count(b"\n") == 1
    assert b"secret" not in brief
    assert json.loads(brief)["origin"] == "two\nlines"


def test_a_blueprint_shows_no_environment() -> None:
    assert "secret" not in repr(blueprint())
