"""The program of a run worker on standby: it loads Dagster and the definitions, waits for one run, and executes it.

It is started as ``python -P -m drayage.launcher.worker`` in a container of the code location's image. While it waits it
blocks on its standard input, and takes no processor. What it prints before its run belongs to the launcher; what it
prints afterwards is the run's.
"""

import gc
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from drayage.identity import STANDBY_S
from drayage.launcher import words

BRIEF_S = 60.0
"""How long it waits to be told what to load; whoever made it may have died."""
_STDIN, _STDOUT = 0, 1
_READ_BYTES = 65536


class LineReader:
    """Reads lines from a file descriptor, with a time limit for each.

    Args:
        descriptor: The descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    def line(self, timeout_s: float) -> str | None:
        """Return the next line without its end; None if it does not come within the time, or never will."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready or not (part := os.read(self._descriptor, _READ_BYTES)):
                return None
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()


def main() -> None:
    """Load what the first line of the standard input says, wait for an order, and obey it."""
    # Without an init, process 1 ignores signals that it does not handle; Dagster's handlers come with the run.
    signal.signal(signal.SIGTERM, _end)
    # The first place that modules are looked for in is the folder of Dagster's command in an ordinary run worker, and
    # Dagster takes it for that.
    sys.path.insert(0, str(Path(sys.executable).parent))
    reader = LineReader(_STDIN)
    told = reader.line(BRIEF_S)
    if told is None:
        raise SystemExit("the launcher did not say what to load")
    brief = json.loads(told)
    _say(words.LOADING)
    from drayage.dagster_internals import launching, run_tags  # noqa: PLC0415 - takes seconds; the launcher waits for the words

    with launching.opened_instance(brief["instance_ref"]) as instance:
        launching.load_definitions(brief["origin"], brief["load_data"])
        # What is loaded stays: the collector need not look at it again, in this process or a child.
        gc.collect()
        gc.freeze()
        _say(words.READY)
        line = reader.line(STANDBY_S)
        if line is None:
            _say(words.EXPIRED)
            return
        order = words.read_order(line)
        if order is None:
            _say(words.DISMISSED)
            return
        run_id, container_id = order
        run = run_tags.name_container(instance, run_id, container_id, brief["image"])
        _say(words.takes(run_id))
        # A step that reads its standard input must not get another launcher's order.
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STDIN)
        os.environ["DAGSTER_RUN_JOB_NAME"] = run.job_name
        launching.execute_run(instance, run_id)


def _say(said: str) -> None:
    os.write(_STDOUT, f"{words.line(said)}\n".encode())


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
