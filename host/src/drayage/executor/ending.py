"""Ends the process although a step does not."""

import os
import time
from threading import main_thread

from drayage.threads import background

_PATIENCE_S = 1.5


def end_with_main_thread() -> None:
    """Let the process end soon after its main thread, whatever other threads wait for.

    Python waits at its end for threads that are not daemons, and for the workers of thread pools: a step that was left
    behind may have some.
    """
    background(_end, name="end").start()


def _end() -> None:
    main_thread().join()
    # Time for what is to be done at the end, such as the removal of containers that stand by.
    time.sleep(_PATIENCE_S)
    os._exit(1)
