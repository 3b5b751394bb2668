"""Limits how much a workload may send through Dagster Pipes."""

from dataclasses import dataclass

from drayage.pipes.lines import LONGEST_MESSAGE_BYTES
from drayage.settings import ALL_MESSAGES_BYTES, StepSettings
from drayage.verdict.judge import SizeReached


@dataclass(frozen=True)
class MessageLimits:
    """The limits of one step's messages; the fields are settings of the same names.

    Args:
        message_bytes: The longest message, in bytes. A longer one is reported as a problem, and the next ones are read.
        messages_bytes: All messages together, in bytes. Beyond it, nothing is read, and the container is stopped.
    """

    message_bytes: int
    messages_bytes: int

    @classmethod
    def of(cls, settings: StepSettings) -> "MessageLimits":
        """Return the limits that a step's settings set."""
        return cls(settings.message_bytes, settings.messages_bytes)

    def exceeded(self) -> SizeReached:
        """Return the limit of all messages, for a step that has reached it."""
        return SizeReached("messages_bytes", self.messages_bytes, "it sent messages of")


DEFAULT_LIMITS = MessageLimits(LONGEST_MESSAGE_BYTES, ALL_MESSAGES_BYTES)
