"""Waits for what a step leaves to the background."""

import threading


def await_removals() -> None:
    """Wait until no container is being removed in the background, which would slow down the next step."""
    for thread in threading.enumerate():
        if thread.name == "drayage-removal":
            thread.join()
