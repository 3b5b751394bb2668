"""Containers that are made to be looked into: where images vanish meanwhile, and where a removal is refused."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import docker
import docker.errors
import pytest

from drayage.docker.files import never_started
from drayage.docker.sharing import shares
from drayage.errors import EngineError

ANSWERS = SimpleNamespace(status_code=500, reason="busy", url="")


@pytest.fixture
def api() -> Any:
    """Return an engine's API whose containers have none of this machine's files."""
    api = create_autospec(docker.APIClient, instance=True)
    api.images.return_value = ["sha256:gone", "sha256:there"]
    api.create_container.return_value = {"Id": "c" * 64}
    api.get_archive.side_effect = docker.errors.NotFound("no such file")
    return api


def client(api: Any) -> Any:
    return SimpleNamespace(api=api)


def test_an_image_that_vanished_since_it_was_listed_is_passed_over(api: Any, tmp_path: Path) -> None:
    api.create_container.side_effect = [docker.errors.ImageNotFound("gone"), {"Id": "c" * 64}]
    assert not shares(client(api), None, tmp_path, {})
    assert [call.args[0] for call in api.create_container.call_args_list] == ["sha256:gone", "sha256:there"]
    assert list(tmp_path.iterdir()) == []


def test_without_any_image_it_cannot_be_tried_out(api: Any, tmp_path: Path) -> None:
    api.create_container.side_effect = docker.errors.ImageNotFound("gone")
    with pytest.raises(EngineError, match="Build or pull one"):
        shares(client(api), None, tmp_path, {})


def test_what_was_found_holds_where_the_removal_is_refused(api: Any, caplog: pytest.LogCaptureFixture) -> None:
    api.remove_container.side_effect = docker.errors.APIError("busy", response=ANSWERS)
    with caplog.at_level(logging.WARNING), never_started(client(api), "image", doing="look") as container:
        found = container
    assert found == "c" * 64
    assert f"docker rm {'c' * 12}" in caplog.text


def test_an_error_while_looking_is_not_hidden_by_a_refused_removal(api: Any) -> None:
    api.remove_container.side_effect = docker.errors.APIError("busy", response=ANSWERS)
    with pytest.raises(KeyError), never_started(client(api), "image", doing="look"):
        raise KeyError
