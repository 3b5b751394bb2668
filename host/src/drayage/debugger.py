"""Defines what debugging a step needs from a container engine, beyond :class:`drayage.engine.Engine`."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class EngineFacts:
    """An engine's description of itself.

    Args:
        version: The engine's version.
        memory_bytes: Memory of the engine's machine, in bytes.
        images: Number of images on the engine.
        any_image: Id of one of those images; None if there are none.
        address: Where it is.
    """

    version: str
    memory_bytes: int
    images: int
    any_image: str | None
    address: str


class Debugger(Protocol):
    """Terminals, copies of kept containers, and facts about images.

    Every method raises :class:`drayage.errors.EngineError`, or one of its subclasses, if the engine refuses or fails.
    """

    def facts(self) -> EngineFacts:
        """Describe the engine."""

    def has_file(self, container_id: str, path: str) -> bool:
        """Return whether a container, running or not, has a file."""

    def sees(self, image: str, folder: Path, name: str, content: bytes) -> bool:
        """Return whether the engine finds a file in a directory of this machine, without running anything.

        Args:
            image: Any image that the engine has.
            folder: The directory, as this process sees it.
            name: Name of the file.
            content: What the file must hold.
        """

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment variables that an image sets."""

    def image_facts(self, image: str) -> tuple[int, dict[str, str]]:
        """Return an image's size in bytes, and its labels."""

    def has_program(self, image: str, names: Sequence[str]) -> bool:
        """Return whether an image has one of these programs on its ``PATH``, without running anything."""

    def create_beside(self, container_id: str, image: str, command: Sequence[str]) -> str:
        """Create a container beside a running one, which sees its processes, network and volumes; return the id.

        Args:
            container_id: A running container.
            image: Id of the image of the new one.
            command: What runs in place of the image's entrypoint, at a terminal if this process has one.
        """

    def commit(self, container_id: str) -> str:
        """Make an image from a container's file system, and return the image's id."""

    def remove_image(self, image_id: str) -> None:
        """Remove an image that :meth:`commit` made."""

    def execute(self, container_id: str, command: Sequence[str], *, user: str | None = None) -> int:
        """Run a command in a running container, attached to this process's terminal if it has one.

        Args:
            container_id: A running container.
            command: The command and its arguments.
            user: The user to run as; None takes the container's own.

        Returns:
            The command's exit code.
        """

    def attach(self, container_id: str, start: Callable[[], None]) -> int:
        """Start a container attached to this process's terminal if it has one, and wait until it ends.

        Args:
            container_id: A created container, made with a terminal if this process has one.
            start: Starts the container.

        Returns:
            The container's exit code.
        """


def is_terminal() -> bool:
    """Return whether this process has a terminal for both its input and its output."""
    return sys.stdin.isatty() and sys.stdout.isatty()
