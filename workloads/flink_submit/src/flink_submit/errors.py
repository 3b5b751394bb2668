"""The errors that a step can fail with.

    FlinkSubmitError
    ├── SettingsError            an environment variable, an extra or the partition is missing or wrong
    ├── SqlFileError             a file of sql/flink cannot be rendered
    ├── ServiceError             a service does not answer, or answers with an error
    │   └── ServiceTimeoutError  a service answers, but does not get ready in time
    ├── StatementError           Flink refuses a SQL statement
    │   └── DuplicateJobError    Flink already knows a job of that id
    ├── JobError                 a Flink job failed, was cancelled by someone else or was forgotten
    ├── TopicError               the topic is missing, or records in it were lost
    ├── LakeError                an Iceberg table is missing or has unexpected content
    └── StepCancelledError       the step was told to stop

Each message is one line: what happened and where, what was expected, what to do next.
"""

from typing import ClassVar


class FlinkSubmitError(Exception):
    """Base of all errors that flink_submit raises."""

    exit_code: ClassVar[int] = 1


class SettingsError(FlinkSubmitError):
    """The step was started with settings, extras or a partition that it cannot work with."""


class SqlFileError(FlinkSubmitError):
    """A file of ``sql/flink`` does not fit the values that the step fills in."""


class ServiceError(FlinkSubmitError):
    """A service that the step needs does not answer, or answers with an error."""


class ServiceTimeoutError(ServiceError):
    """A service answers, but is not ready in time."""


class StatementError(FlinkSubmitError):
    """The SQL Gateway reports that a statement failed."""


class DuplicateJobError(StatementError):
    """The JobManager refuses a job because it already knows a job of the same id."""


class JobError(FlinkSubmitError):
    """A Flink job did not finish."""


class TopicError(FlinkSubmitError):
    """The Kafka topic is missing, or lacks records that bronze needs next."""


class LakeError(FlinkSubmitError):
    """An Iceberg table is missing or empty, or does not hold what the Flink job should have written."""


class StepCancelledError(FlinkSubmitError):
    """The step received SIGTERM or SIGINT."""

    exit_code: ClassVar[int] = 143  # what a shell reports for a process ended by SIGTERM
