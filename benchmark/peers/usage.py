"""Samples the processor time and memory of this process's descendants: of a service, with all that it starts."""

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36
_INTERVAL_S = 0.2
# Reading a process's memory takes the kernel a millisecond or more: sampling gets a tenth of a processor at most.
_SHARE = 0.1


@dataclass(frozen=True)
class Process:
    """What the kernel says of a process.

    Args:
        parent: Id of its parent.
        own_s: Its processor seconds.
        reaped_s: Processor seconds of the descendants that it has waited for.
    """

    parent: int
    own_s: float
    reaped_s: float


@dataclass(frozen=True)
class Sample:
    """A moment.

    Args:
        at: Seconds since the epoch.
        processor_s: Processor seconds so far.
        database_s: Those of the database.
        memory_mib: Memory by process, each shared page counted once among those who share it (PSS).
    """

    at: float
    processor_s: float
    database_s: float
    memory_mib: Mapping[int, float]


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs, so that each of them stays a descendant."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def read_processes() -> dict[int, Process]:
    """Return every process of the machine by its id."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name: state, parent, and nine more before the ticks in user and in system mode, its own and
            # those of the children that it has waited for (proc(5)).
            values = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        user, system, reaped_user, reaped_system = (int(value) / _TICKS_PER_S for value in values[11:15])
        found[int(stat.parent.name)] = Process(int(values[1]), user + system, reaped_user + reaped_system)
    return found


def descendants(processes: Mapping[int, Process], root: int) -> set[int]:
    """Return the ids of all descendants of a process, without itself."""
    children: dict[int, list[int]] = {}
    for it, process in processes.items():
        children.setdefault(process.parent, []).append(it)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        fresh = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return found


def processor_s(processes: Mapping[int, Process], root: int, among: Iterable[int]) -> float:
    """Return the processor seconds of descendants so far, those that have ended included.

    Args:
        processes: All processes.
        root: Their ancestor, whose own seconds do not count.
        among: The ids of those that live.
    """
    return processes[root].reaped_s + sum(processes[it].own_s + processes[it].reaped_s for it in among)


@contextlib.contextmanager
def sampled(database: int) -> Iterator[list[Sample]]:
    """Sample up to five times a second while the block lasts; its list also has a moment before it and one after it.

    Args:
        database: Id of the database's first process.
    """
    samples = [_sample(database)]
    ended = threading.Event()

    def go_on() -> None:
        pause_s = _INTERVAL_S
        while not ended.wait(pause_s):
            began = time.thread_time()
            samples.append(_sample(database))
            pause_s = max(_INTERVAL_S, (time.thread_time() - began) / _SHARE)

    thread = threading.Thread(target=go_on, name="usage")
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
    samples.append(_sample(database))


def summarize(samples: Iterable[Sample], began: float, ended: float) -> dict[str, float | int]:
    """Say what was used between two moments.

    Args:
        samples: The samples in their order: one before the first moment, and one after the second.
        began: The first moment, in seconds since the epoch.
        ended: The second.

    Returns:
        Processor seconds of the service and of its database, the peak of the memory of all processes and of those that
        were started meanwhile in MiB, and the number of processes and of samples.
    """
    taken = list(samples)
    first = max(number for number, sample in enumerate(taken) if sample.at <= began)
    last = next((number for number, sample in enumerate(taken) if sample.at >= ended), len(taken) - 1)
    during = taken[first : last + 1]
    stood = during[0].memory_mib
    started = [{it: mib for it, mib in sample.memory_mib.items() if it not in stood} for sample in during]
    return {
        "processor_s": round(during[-1].processor_s - during[0].processor_s, 2),
        "database_processor_s": round(during[-1].database_s - during[0].database_s, 2),
        "peak_mib": round(max(sum(sample.memory_mib.values()) for sample in during)),
        "started_peak_mib": round(max(sum(memory.values()) for memory in started)),
        "started_most": max(len(memory) for memory in started),
        "samples": len(during),
    }


def _sample(database: int) -> Sample:
    at, processes, me = time.time(), read_processes(), os.getpid()
    ours, base = descendants(processes, me), descendants(processes, database)
    return Sample(
        at=at,
        processor_s=processor_s(processes, me, ours),
        database_s=processes[database].own_s + processor_s(processes, database, base),
        memory_mib={it: memory for it in ours if (memory := _memory_mib(it)) is not None},
    )


def _memory_mib(process: int) -> float | None:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # A process that has ended and is not yet waited for has no memory, and an empty file.
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), None)
