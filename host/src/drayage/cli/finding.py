"""A verdict of `drayage doctor`."""

from collections.abc import Callable
from dataclasses import dataclass

from drayage.errors import DrayageError


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Args:
        what: The thing.
        good: Whether it is as it must be.
        text: What was found, and what to do if that is bad.
    """

    what: str
    good: bool
    text: str


def examined(what: str, examine: Callable[[], tuple[bool, str]]) -> Finding:
    """Examine a thing; an error is a bad finding.

    Args:
        what: The thing.
        examine: Tells whether it is good, and what was found.
    """
    try:
        good, text = examine()
    except DrayageError as error:
        good, text = False, str(error)
    except OSError as error:
        good, text = False, f"{error}. Let this user read and write there, or set DRAYAGE_EXCHANGE_ROOT elsewhere."
    return Finding(what, good, text)
