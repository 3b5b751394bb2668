"""Judges a step: green only if nothing was wrong, otherwise red with every reason."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dagster_pipes import PipesException

from drayage.verdict.exception import read_exception

# Shells and engines report 128 + n as the exit code of a process that signal n ended.
_SIGNALLED = 128
_SHOWN_TEXTS = 5

Kind = Literal["limit", "memory", "exit", "exception", "output", "pipes", "message", "promise"]


@dataclass(frozen=True)
class Ending:
    """How the container ended.

    Args:
        exit_code: Its exit code; 128 + n after signal n; -1 if it never ran, or the engine has lost it.
        oom_killed: Whether the kernel killed one of its processes for lack of memory.
        memory_limit_bytes: Its memory limit in bytes; 0 is unlimited.
        engine_error: The engine's own error; empty if none.
    """

    exit_code: int
    oom_killed: bool = False
    memory_limit_bytes: int = 0
    engine_error: str = ""

    @property
    def signal_name(self) -> str | None:
        """The name of the signal that ended it; None if the exit code does not stand for one."""
        try:
            return signal.Signals(self.exit_code - _SIGNALLED).name if self.exit_code > _SIGNALLED else None
        except ValueError:
            return None


@dataclass(frozen=True)
class LimitReached:
    """A time limit at which the client stopped the container.

    Args:
        setting: Name of the setting.
        limit_s: Its value in seconds.
        what: What did not happen in time.
    """

    setting: str
    limit_s: float
    what: str

    @property
    def text(self) -> str:
        """A clause that says so."""
        return f"{self.what} within {self.limit_s:g} s ({self.setting}), so it was stopped"


@dataclass(frozen=True)
class SizeReached:
    """A limit of size at which the client stopped the container.

    Args:
        setting: Name of the setting.
        limit_bytes: Its value in bytes.
        what: What was too large, as in "it sent messages of".
    """

    setting: str
    limit_bytes: int
    what: str

    @property
    def text(self) -> str:
        """A clause that says so."""
        return f"{self.what} more than {self.limit_bytes} bytes ({self.setting}), so it was stopped"


@dataclass(frozen=True)
class Facts:
    """The facts about a step once its container has ended and its messages have been read.

    Args:
        ending: How the container ended.
        opened: Whether the workload opened Pipes.
        closed: Whether the workload closed Pipes as often as it opened it.
        sessions: How often it opened Pipes.
        unclosed: How many of these sessions it did not close.
        exception: The first exception that came with a closing message.
        disorder: Clauses about the first few messages that came outside a session.
        disorder_count: Number of all messages that came outside a session.
        problems: Descriptions of the first few messages that were not understood.
        problem_count: Number of all messages that were not understood.
        broken_promises: One clause for each broken promise.
        limit: The limit that was reached; None if none was.
        lost: Clauses about the first few losses of output.
        lost_count: Number of all losses of output.
        debug_text: Where context and messages were exchanged, to explain a workload that stayed silent.
    """

    ending: Ending
    opened: bool
    closed: bool
    sessions: int = 1
    unclosed: int = 0
    exception: PipesException | None = None
    disorder: Sequence[str] = ()
    disorder_count: int = 0
    problems: Sequence[str] = ()
    problem_count: int = 0
    broken_promises: Sequence[str] = ()
    limit: LimitReached | SizeReached | None = None
    lost: Sequence[str] = ()
    lost_count: int = 0
    debug_text: str = ""


@dataclass(frozen=True)
class Reason:
    """One thing that was wrong.

    Args:
        kind: The category of the reason.
        text: A clause that begins in lower case and ends without a full stop.
    """

    kind: Kind
    text: str


@dataclass(frozen=True)
class Verdict:
    """Whether a step is green, and if not, why.

    Args:
        reasons: Everything that was wrong, the likeliest cause first; empty if the step is green.
    """

    reasons: Sequence[Reason] = field(default_factory=tuple)

    @property
    def green(self) -> bool:
        """Whether nothing was wrong."""
        return not self.reasons

    @property
    def clauses(self) -> Sequence[str]:
        """The reasons' texts without a full stop at the end, which a workload's or an error's own text may have."""
        return tuple(reason.text.rstrip(".") for reason in self.reasons)


def judge(facts: Facts) -> Verdict:
    """Judge a step.

    Args:
        facts: What is known about the step.

    Returns:
        The verdict, with every reason why the step is not green, the likeliest cause first.
    """
    reasons: list[Reason] = []
    if facts.limit:
        reasons.append(Reason("limit", facts.limit.text))
    if facts.ending.oom_killed:
        reasons.append(Reason("memory", _memory_text(facts.ending)))
    if facts.exception is not None:
        reasons.append(Reason("exception", f"the workload failed with {exception_line(facts.exception)}"))
    if facts.ending.exit_code != 0 or facts.ending.engine_error:
        reasons.append(Reason("exit", _exit_text(facts)))
    if facts.lost_count:
        # Before Pipes: a message may have been in what was lost.
        reasons.append(Reason("output", f"some of its output was lost: {_first(facts.lost, facts.lost_count)}"))
    if not facts.opened:
        reasons.append(Reason("pipes", f"it never opened Dagster Pipes. {facts.debug_text}".strip()))
    elif not facts.closed:
        reasons.append(Reason("pipes", _unclosed_text(facts)))
    if facts.disorder_count:
        reasons.append(Reason("pipes", _first(facts.disorder, facts.disorder_count)))
    if facts.problem_count:
        reasons.append(Reason("message", _problem_text(facts)))
    reasons.extend(Reason("promise", text) for text in facts.broken_promises)
    return Verdict(tuple(reasons))


def exception_line(exception: PipesException) -> str:
    """Return an exception's type and message on one line.

    Args:
        exception: The exception in Pipes' form; libraries in other languages may omit fields.
    """
    whole = read_exception(exception)
    name, message = whole["name"], " ".join(whole["message"].split())
    if not name or message.startswith(name) or f"{name}:" in message:
        return message or name or "an exception without a message"
    return f"{name}: {message}" if message else name


def _unclosed_text(facts: Facts) -> str:
    if facts.sessions == 1:
        return "it opened Dagster Pipes and never closed it"
    return f"it opened Dagster Pipes {facts.sessions} times, and did not close it {facts.unclosed} of these times"


def _memory_text(ending: Ending) -> str:
    return f"the kernel killed it: {_memory_advice(ending)}"


def _memory_advice(ending: Ending) -> str:
    limit = ending.memory_limit_bytes
    of = f"its limit of {limit / 2**20:.0f} MiB" if limit else "the machine's memory"
    return f"out of memory at {of} (raise the setting `memory`, or the tag drayage/memory)"


def _exit_text(facts: Facts) -> str:
    ending = facts.ending
    if ending.exit_code < 0:
        return f"it has no exit code; the engine says: {ending.engine_error or 'nothing'}"
    name = ending.signal_name
    text = f"it exited with code {ending.exit_code}" + (f" ({name})" if name else "")
    is_explained = ending.oom_killed or facts.limit is not None or ending.engine_error
    if name == "SIGKILL" and ending.memory_limit_bytes and not is_explained:
        # A busy engine may learn that the container ended before it learns why, and then never reports the kill.
        text += f"; something killed it, perhaps the kernel: {_memory_advice(ending)}"
    return f"{text}; the engine says: {ending.engine_error}" if ending.engine_error else text


def _problem_text(facts: Facts) -> str:
    count = "a message was" if facts.problem_count == 1 else f"{facts.problem_count} messages were"
    return f"{count} not understood: {_first(facts.problems, facts.problem_count)}"


def _first(texts: Sequence[str], count: int) -> str:
    """Return the first few of many texts, and how many there are more."""
    few = texts[:_SHOWN_TEXTS]
    more = count - len(few)
    return "; ".join(few) + (f"; and {more} more" if more > 0 else "")
