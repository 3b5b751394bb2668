"""Find the line in a Java stack trace that tells a person what went wrong."""

import re
from dataclasses import dataclass

MAX_LENGTH = 600

# Causes start at the beginning of a line; indented ones belong to suppressed exceptions.
_CAUSE = re.compile(r"^(?:Caused by: )?((?:[\w$]+\.)+[\w$]+)(?:: ?(.*))?$")
_FRAME = re.compile(r"^\s+at (?:[\w.]+/+)?([\w.$/]+)\(([^)]*)\)")
_OTHER = re.compile(r"^(?:\s|\.\.\. \d+ |End of exception on server side)")
_CHECKS = ("Preconditions.", "java.util.Objects.")  # frames that throw for their caller
_WRAPPERS = ("ExecutionException", "CompletionException")
_EMPTY_PHRASES = ("Recovery is suppressed", "The failure is not recoverable", "This suppresses job restarts")


@dataclass
class _Cause:
    name: str
    message: str
    frame: str = ""

    @property
    def is_informative(self) -> bool:
        wraps = self.name in _WRAPPERS or any(phrase in self.message for phrase in _EMPTY_PHRASES)
        return bool(self.message) and not wraps

    def __str__(self) -> str:
        if self.message:
            return f"{self.name}: {self.message}"
        return f"{self.name} at {self.frame}" if self.frame else self.name


def find_root_cause(stack_trace: str) -> str:
    """Return the innermost cause, and the nearest informative cause around it if that adds something.

    Args:
        stack_trace: Text from the JobManager or the SQL Gateway.

    Returns:
        One line of at most ``MAX_LENGTH`` characters, such as
        ``IllegalStateException: no such thing (in: IOException: …)``.
    """
    causes = _read_causes(stack_trace)
    if not causes:
        return _shorten(" ".join(stack_trace.split())) or "Flink gave no reason"
    innermost = causes[-1]
    around = next((cause for cause in reversed(causes[:-1]) if cause.is_informative), None)
    if around is None or around.message in str(innermost):
        return _shorten(str(innermost))
    if innermost.message and around.message.endswith(innermost.message):
        return _shorten(str(around))
    return _shorten(f"{innermost} (in: {_shorten(str(around), MAX_LENGTH // 3)})")


def _read_causes(stack_trace: str) -> list[_Cause]:
    causes: list[_Cause] = []
    in_message = False
    for line in stack_trace.splitlines():
        frame = _FRAME.match(line)
        cause = _CAUSE.match(line)
        if frame:
            in_message = False
            if causes and not causes[-1].frame and not any(check in frame[1] for check in _CHECKS):
                causes[-1].frame = f"{'.'.join(frame[1].split('.')[-2:])} ({frame[2]})"
        elif cause:
            name = cause[1].rsplit(".", 1)[-1].rsplit("$", 1)[-1]
            causes.append(_Cause(name, (cause[2] or "").strip()))
            in_message = True
        elif _OTHER.match(line) and not in_message:
            continue
        elif in_message and not line.startswith("\t"):
            causes[-1].message = f"{causes[-1].message} {line.strip()}".strip()  # the message has several lines
    return causes


def _shorten(text: str, length: int = MAX_LENGTH) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
