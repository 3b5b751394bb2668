"""Everything that ends a step, in one tree.

GeneratorError
├── RequestError            the environment, the partition or the extras do not fit
├── TripFileError           the month's file
│   ├── TripFileUnreadableError   absent folder, no permission, not the format its name says
│   ├── TripFileEmptyError        no byte or no row
│   ├── TripFileCutOffError       the end is missing
│   ├── TripColumnError           a column is missing, there twice, or of a wrong type
│   └── TripValueError            one value does not fit its column
├── BrokerError             Kafka does not answer, or refuses
│   ├── TopicError                absent, or not as asked
│   └── DeliveryError             an event was not acknowledged
├── RegistryError           the schema registry does not answer, or fails
│   └── SchemaRefusedError        the schema does not fit those before it
└── TerminatedError         SIGTERM or SIGINT
"""


class GeneratorError(Exception):
    """One sentence that says what happened, what was expected, where, and what to do.

    Args:
        what: What happened.
        expected: What should have been there.
        got: What was there.
        where: File, address or topic.
        todo: What the reader can do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, expected: str = "", got: str = "", where: str = "", todo: str = "") -> None:
        parts = (
            (f"{what} ({where})" if where else what),
            *(f"{label} {text}" for label, text in (("expected", expected), ("got", got), ("to do:", todo)) if text),
        )
        super().__init__(" ".join("; ".join(parts).split()))


class RequestError(GeneratorError):
    """The environment, the partition or the extras do not fit."""


class TripFileError(GeneratorError):
    """The month's file cannot be sent."""


class TripFileUnreadableError(TripFileError):
    """The folder or file is absent, may not be read, or is not of its format."""


class TripFileEmptyError(TripFileError):
    """The file has no byte, or no row."""


class TripFileCutOffError(TripFileError):
    """The end of the file is missing."""


class TripColumnError(TripFileError):
    """A column is missing, there twice, or of a wrong type."""


class TripValueError(TripFileError):
    """One value does not fit its column, or a row has too few or too many."""


class BrokerError(GeneratorError):
    """Kafka does not answer, or refuses."""


class TopicError(BrokerError):
    """The topic is absent, or not as asked."""


class DeliveryError(BrokerError):
    """An event was not acknowledged."""


class RegistryError(GeneratorError):
    """The schema registry does not answer, or fails."""


class SchemaRefusedError(RegistryError):
    """The registry refuses the schema, because readers of those before it would break."""


class TerminatedError(GeneratorError):
    """The step was told to stop."""

    exit_code = 143
    """128 + SIGTERM, as a shell reports it."""
