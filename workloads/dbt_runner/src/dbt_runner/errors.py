"""The errors that a step can fail with.

    DbtRunnerError
    ├── SettingsError           the container's environment lacks something
    ├── RequestError            the Pipes context asks for something impossible
    ├── ProjectError            the dbt project in the image is unusable
    ├── LakeError               the data that dbt reads is unreachable
    │   ├── CatalogError            the Iceberg REST catalog does not answer, or not as one
    │   ├── SourceMissingError      the catalog has no such table
    │   ├── MonthMissingError       silver was never materialized for a month
    │   └── ObjectStoreError        the store of the table's files does not answer
    ├── MartsError              the DuckDB file of the marts is unusable
    │   ├── MartsLockedError        another process has it open
    │   ├── MartsUnreadableError    it cannot be read, written or migrated
    │   └── MartMissingError        it lacks a mart to publish
    ├── PublishError            a mart could not be published as an Iceberg table
    ├── DbtError                dbt itself gave up, before or between nodes
    ├── BuildFailedError        dbt ran, and nodes of the build failed
    └── CancelledError          the step was told to stop

Each message is one line: what happened and where, what was expected, what to do next.
"""

OUT_OF_MEMORY = "Out of Memory Error"
"""The words by which DuckDB reports a lack of memory, or of disk space to spill to."""

OUT_OF_MEMORY_ADVICE = (
    "Free space on the disk that containers write to, or give the step's container a larger DUCKDB_MEMORY_LIMIT, then "
    "materialize it again."
)


def what_helps(reason: str, otherwise: str) -> str:
    """Choose the advice at the end of an error message.

    Args:
        reason: DuckDB's message, or dbt's message that contains it.
        otherwise: The advice if the cause is not a lack of memory.

    Returns:
        The advice.
    """
    return OUT_OF_MEMORY_ADVICE if OUT_OF_MEMORY in reason else otherwise


class DbtRunnerError(Exception):
    """Base of all errors that dbt_runner raises."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class SettingsError(DbtRunnerError):
    """The container's environment lacks settings, or they are malformed."""


class RequestError(DbtRunnerError):
    """The partition, the assets or the extras of the Pipes context do not fit the image's project."""


class ProjectError(DbtRunnerError):
    """The dbt project in the image cannot be read or parsed."""


class LakeError(DbtRunnerError):
    """The data that dbt reads is unreachable."""


class CatalogError(LakeError):
    """The Iceberg REST catalog does not answer, or not as an Iceberg catalog."""


class SourceMissingError(LakeError):
    """The catalog answers but has no such table."""


class MonthMissingError(LakeError):
    """Silver was never materialized for a month of the step, or before months had versions."""


class ObjectStoreError(LakeError):
    """The object store that holds the table's files does not answer."""


class MartsError(DbtRunnerError):
    """The DuckDB file of the marts is unusable."""


class MartsLockedError(MartsError):
    """Another process has the DuckDB file open."""


class MartsUnreadableError(MartsError):
    """The file is damaged, is not a DuckDB file, may not be written, or needs more memory than there is."""


class MartMissingError(MartsError):
    """The file lacks a mart to publish."""


class PublishError(DbtRunnerError):
    """The catalog or the object store refused an Iceberg table, or its columns differ from its mart's."""


class DbtError(DbtRunnerError):
    """Dbt ended without a result for every node."""


class BuildFailedError(DbtRunnerError):
    """Nodes of the build failed; the message names each."""


class CancelledError(DbtRunnerError):
    """The step was told to stop."""

    # The exit code that a shell reports for a process ended by SIGTERM.
    exit_code = 143
