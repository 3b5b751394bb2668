"""What people who look into a step ask of a container engine, beside what :class:`drayage.engine.Engine` offers."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class EngineFacts:
    """An engine's description of itself.

    Args:
        version: Its version.
        memory_bytes: The memory of its machine.
        images: Number of its images.
        any_image: Id of one of them; None if it has none.
    """

    version: str
    memory_bytes: int
    images: int
    any_image: str | None


class Debugger(Protocol):
    """Terminals, copies of kept containers, and facts about images.

    Every method raises :class:`drayage.errors.EngineError` or one of its kinds.
    """

    def facts(self) -> EngineFacts:
        """Describe the engine."""

    def has_file(self, container_id: str, path: str) -> bool:
        """Return whether a container, running or not, has a file."""

    def sees(self, image: str, source: str, name: str, content: bytes) -> bool:
        """Return whether the engine finds a file in a directory of this machine; nothing is run for it.

        Args:
            image: Any image that the engine has.
            source: The directory, as the engine would mount it.
            name: The file.
            content: What the file must hold.
        """

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment variables that an image sets."""

    def image_facts(self, image: str) -> tuple[int, dict[str, str]]:
        """Return an image's size in bytes, and its labels."""

    def has_program(self, image: str, names: Sequence[str]) -> bool:
        """Return whether an image has one of these programs on its path; nothing is run for it."""

    def commit(self, container_id: str) -> str:
        """Make an image of a container's file system, and return its id."""

    def remove_image(self, image_id: str) -> None:
        """Remove an image that :meth:`commit` made."""

    def execute(self, container_id: str, command: Sequence[str], *, user: str | None = None) -> int:
        """Run a command in a running container, at this process's terminal if it has one.

        Returns:
            The command's exit code.
        """

    def attach(self, container_id: str, start: Callable[[], None]) -> int:
        """Start a container at this process's terminal if it has one, and wait for its end.

        Args:
            container_id: A created container, made with a terminal if this process has one.
            start: Starts it.

        Returns:
            Its exit code.
        """


def is_terminal() -> bool:
    """Return whether this process has a terminal for both its input and its output."""
    return sys.stdin.isatty() and sys.stdout.isatty()
