"""A finding of ``drayage doctor``: the state of one thing that it examined."""

from collections.abc import Callable
from dataclasses import dataclass

from drayage.errors import DrayageError


@dataclass(frozen=True)
class Finding:
    """The state of one thing that ``drayage doctor`` examined.

    Args:
        what: What was examined, such as ``disk``.
        good: Whether it is as it must be.
        text: What was found, and if that is bad, what to do.
    """

    what: str
    good: bool
    text: str


def examine(what: str, look: Callable[[], tuple[bool, str]]) -> Finding:
    """Examine a thing; an error of drayage or of the operating system makes a bad finding.

    Args:
        what: What is examined.
        look: Returns whether the thing is good, and what was found.

    Returns:
        The finding.
    """
    try:
        good, text = look()
    except (DrayageError, OSError) as error:
        good, text = False, str(error)
    return Finding(what, good, text)
