"""Says what a run worker on standby is made from, so that one made from something else is never given a run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Blueprint:
    """What a run worker is made from: everything that an ordinary run worker of the run would have.

    Args:
        image: The image's name.
        image_id: The id that it stands for now.
        python: The path of Python in the image, with the code location's libraries.
        origin: The repository of the code location, as Dagster writes it.
        load_data: The state that the code server's definitions were made from, as Dagster writes it; empty if none.
        code_server_id: The code server, which gets a new id whenever it loads its definitions.
        instance_ref: The Dagster instance, as Dagster writes it.
        environment: Environment variables, with their values.
        networks: Networks to join.
        labels: Labels of the launcher's settings.
        options: docker-py's keyword arguments of the launcher's settings.
    """

    image: str
    image_id: str
    python: str
    origin: str
    load_data: str
    code_server_id: str
    instance_ref: str
    environment: Mapping[str, str] = field(repr=False)
    networks: Sequence[str]
    labels: Mapping[str, str]
    options: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        """A digest of all of it, which changes with the image, the definitions, the environment or the settings."""
        content = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def brief(self) -> bytes:
        """What the run worker is told to load: one line of JSON."""
        told = {
            "instance_ref": self.instance_ref,
            "origin": self.origin,
            "load_data": self.load_data,
            "image": self.image,
        }
        return json.dumps(told).encode() + b"\n"
