"""The errors that a step can fail with.

    GeneratorError
    ├── RequestError            the environment, the partition or the extras do not fit
    │   └── SyntheticRefusedError     synthetic trips would replace those of a file
    ├── LandingError            the landing zone cannot be read
    │   ├── LandingUnreachableError   the object store does not answer, or fails
    │   ├── LandingAccessError        it refuses access, or has no such bucket
    │   ├── LandedFileChangedError    an object vanished or changed while it was downloaded
    │   └── LandedFileCorruptError    an object's content is not what was uploaded
    ├── TripFileError           the month's file cannot be sent
    │   ├── TripFileMissingError      the month has no file
    │   ├── TripFileUnreadableError   it or its folder is missing or unreadable, or it has another format
    │   ├── TripFileEmptyError        it has no byte or no row
    │   ├── TripFileCutOffError       its end is missing
    │   ├── TripColumnError           a column is missing, appears twice, or has a wrong type
    │   └── TripValueError            a value does not fit its column
    ├── BrokerError             Kafka does not answer, or refuses
    │   ├── TopicError                a topic is missing, or differs from the request
    │   ├── VersionRecordError        the record of a month's version cannot be understood
    │   └── DeliveryError             an event was not acknowledged
    ├── RegistryError           the schema registry does not answer, or fails
    │   └── SchemaRefusedError        the schema is not compatible with the earlier ones
    └── TerminatedError         SIGTERM or SIGINT

Each message is one line: what happened and where, what was expected and found, what to do next.
"""


class GeneratorError(Exception):
    """Base of all errors that the generator raises.

    Args:
        what: What happened.
        expected: What was expected.
        got: What was found.
        where: The file, address or topic.
        todo: What to do next.
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


class SyntheticRefusedError(RequestError):
    """Synthetic trips, which were not asked for by name, would replace those of a file."""


class LandingError(GeneratorError):
    """The landing zone cannot be read."""


class LandingUnreachableError(LandingError):
    """The object store does not answer, or fails."""


class LandingAccessError(LandingError):
    """The object store refuses access, or the bucket is missing."""


class LandedFileChangedError(LandingError):
    """An object vanished or changed while it was downloaded."""


class LandedFileCorruptError(LandingError):
    """The content of an object is not what was uploaded."""


class TripFileError(GeneratorError):
    """The month's file cannot be sent."""


class TripFileMissingError(TripFileError):
    """The month has no file."""


class TripFileUnreadableError(TripFileError):
    """The folder or file is missing or unreadable, or the file does not have its format."""


class TripFileEmptyError(TripFileError):
    """The file has no byte or no row."""


class TripFileCutOffError(TripFileError):
    """The end of the file is missing."""


class TripColumnError(TripFileError):
    """A column is missing, appears twice, or has a wrong type."""


class TripValueError(TripFileError):
    """A value does not fit its column, or a row has too few or too many values."""


class BrokerError(GeneratorError):
    """Kafka does not answer, or refuses."""


class TopicError(BrokerError):
    """A topic is missing, or differs from the request."""


class VersionRecordError(BrokerError):
    """The record of a month's version cannot be understood."""


class DeliveryError(BrokerError):
    """An event was not acknowledged."""


class RegistryError(GeneratorError):
    """The schema registry does not answer, or fails."""


class SchemaRefusedError(RegistryError):
    """The registry refuses the schema, because it would break readers of the earlier schemas."""


class TerminatedError(GeneratorError):
    """The step was told to stop."""

    exit_code = 143
    """The exit code that a shell reports for a process ended by SIGTERM."""
