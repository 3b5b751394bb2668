"""A blueprint for tests."""

from typing import Any

from drayage.launcher.blueprint import Blueprint


def blueprint(**changed: Any) -> Blueprint:
    return Blueprint(
        **{
            "image": "host",
            "image_id": "sha256:1",
            "python": "/opt/venv/bin/python",
            "origin": "origin",
            "load_data": "state",
            "code_server_id": "server",
            "instance_ref": "instance",
            "environment": {"A": "secret"},
            "networks": ["n"],
            "labels": {"l": "1"},
            "options": {"mem_limit": "1g"},
            **changed,
        }
    )
