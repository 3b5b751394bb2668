"""Defines what debugging a step needs from a container engine, beyond :class:`drayage.engine.Engine`."""

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from drayage.engine import ContainerSpec, Engine
from drayage.finding import Finding

SHELL = "/bin/sh"
"""The shell that is looked for in images."""


class Debugger(Protocol):
    """Terminals, copies of kept containers, and facts about the engine and its images.

    Every method raises :class:`drayage.errors.EngineError`, or one of its subclasses, if the engine refuses or fails,
    and :class:`drayage.errors.SettingsError` if it can never do what is asked.
    """

    def examine_engine(self) -> Sequence[Finding]:
        """Examine the engine itself, and what this process may do there; nothing of it lasts."""

    def examine_mailbox(self, folder: Path) -> tuple[bool, str]:
        """Say how context and messages get into and out of containers, and why; nothing of it lasts.

        Args:
            folder: A folder like an attempt's, in which a file may be written.

        Returns:
            Whether they do, and what was found.
        """

    def find_image(self, image: str) -> str:
        """Return the content address of an image that the engine has or, if it pulls images by itself, can pull."""

    def environment(self, image: str) -> dict[str, str]:
        """Return the environment variables that an image sets."""

    def image_facts(self, image: str) -> tuple[int | None, dict[str, str]]:
        """Return an image's size in bytes, and its labels, as far as the engine tells them."""

    def has_program(self, image: str, names: Sequence[str]) -> bool:
        """Return whether an image has one of these programs on its ``PATH``, without running anything."""

    def has_shell(self, container_id: str) -> bool:
        """Return whether a running container has ``SHELL``."""

    def execute(self, container_id: str, command: Sequence[str]) -> int:
        """Run a command in a running container, attached to this process's terminal if it has one.

        Args:
            container_id: A running container.
            command: The command and its arguments.

        Returns:
            The command's exit code.
        """

    def run_beside(self, engine: Engine, container_id: str, image: str, command: Sequence[str]) -> int:
        """Run a command in another container that sees a running one's processes, network and volumes.

        Args:
            engine: The engine of the container.
            container_id: A running container.
            image: The image of the other one, as the engine resolved it.
            command: The command and its arguments, at this process's terminal if it has one.

        Returns:
            The command's exit code.
        """

    def run_new(self, engine: Engine, spec: ContainerSpec, command: Sequence[str]) -> int | None:
        """Run a command in a new container in place of its own, at this process's terminal if it has one; remove it.

        Args:
            engine: Makes the container.
            spec: What it is made of.
            command: The command, which begins with ``SHELL``, and its arguments.

        Returns:
            The command's exit code; None if the image has no ``SHELL``.
        """

    def commit(self, container_id: str) -> str | None:
        """Make an image from an ended container's files, and return its id; None if the engine does not keep them."""

    def remove_image(self, image_id: str) -> None:
        """Remove an image that :meth:`commit` made."""


def is_terminal() -> bool:
    """Return whether this process has a terminal for both its input and its output."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def terminal_size() -> tuple[int, int]:
    """Return the height and the width of this process's terminal, in characters."""
    # Not what COLUMNS and LINES say: a shell's own may be those of another terminal, or of an earlier size.
    width, height = os.get_terminal_size(sys.stdout.fileno())
    return height or 24, width or 80


@contextlib.contextmanager
def raw_terminal(resize: Callable[[int, int], object]) -> Iterator[None]:
    """Let this process's terminal pass on each key as it is pressed.

    Args:
        resize: Called with its height and width, in characters, now and whenever they change; from a signal handler.
    """

    def fit(*_: Any) -> None:
        resize(*terminal_size())

    before = termios.tcgetattr(sys.stdin)
    handler = signal.signal(signal.SIGWINCH, fit)
    try:
        tty.setraw(sys.stdin)
        fit()
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
