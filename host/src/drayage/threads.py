"""Makes the threads that work for a step beside the one that executes it."""

from collections.abc import Callable
from contextvars import copy_context
from threading import Thread


def background(target: Callable[..., None], *args: object, name: str) -> Thread:
    """Return a thread that does not keep the process, in a copy of the context of the one that makes it.

    The context says for which step a thread works, where several are executed side by side: whose logs it writes to,
    and whose cancellation it heeds.

    Args:
        target: What it calls.
        args: The arguments.
        name: Its name, after ``drayage-``.
    """
    return Thread(target=copy_context().run, args=(target, *args), name=f"drayage-{name}", daemon=True)
