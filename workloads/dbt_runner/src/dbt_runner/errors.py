"""Every way in which a step can fail.

    DbtRunnerError
    ├── SettingsError           the container's environment lacks something
    ├── RequestError            the Pipes context asks for something that cannot be done
    ├── ProjectError            the dbt project in the image is not usable
    ├── LakeError               what dbt would read is out of reach
    │   ├── CatalogError            the Iceberg REST catalog
    │   ├── SourceMissingError      the catalog has no such table
    │   └── ObjectStoreError        the store that holds the table's files
    ├── MartsError              the DuckDB file of the marts cannot be used
    │   ├── MartsLockedError        another process has it open
    │   ├── MartsUnreadableError    it is not a DuckDB file of ours, or may not be written
    │   └── MartMissingError        it lacks a mart that is to be published
    ├── PublishError            a mart could not become an Iceberg table
    ├── DbtError                dbt itself gave up, before or between nodes
    ├── BuildFailedError        dbt ran, and nodes of the build failed
    └── CancelledError          the step was told to stop

Each message is one line of sentences: what happened and where, what was expected, what to do next.
"""

OUT_OF_MEMORY = "Out of Memory Error"
"""DuckDB's word for it, also where its disk has no room for what it would spill."""

OUT_OF_MEMORY_ADVICE = (
    "Free space on the disk that containers write to, or give the step's container a larger DUCKDB_MEMORY_LIMIT, then "
    "materialize it again."
)


def what_helps(reason: str, otherwise: str) -> str:
    """Choose the advice that an error ends with.

    Args:
        reason: DuckDB's words, or dbt's that hold them.
        otherwise: The advice where memory is not what lacks.
    """
    return OUT_OF_MEMORY_ADVICE if OUT_OF_MEMORY in reason else otherwise


class DbtRunnerError(Exception):
    """Base of all errors that the runner raises itself."""

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
    """What dbt would read is out of reach."""


class CatalogError(LakeError):
    """The Iceberg REST catalog does not answer, or not as one."""


class SourceMissingError(LakeError):
    """The catalog answers, and has no such table."""


class ObjectStoreError(LakeError):
    """The object store that holds the table's files does not answer."""


class MartsError(DbtRunnerError):
    """The DuckDB file of the marts cannot be used."""


class MartsLockedError(MartsError):
    """Another process has the DuckDB file open."""


class MartsUnreadableError(MartsError):
    """The file is damaged, is not DuckDB's, or may not be written."""


class MartMissingError(MartsError):
    """The file lacks a mart that is to be published."""


class PublishError(DbtRunnerError):
    """The catalog or the object store refused an Iceberg table, or it has other columns than its mart."""


class DbtError(DbtRunnerError):
    """Dbt ended without a verdict on its nodes."""


class BuildFailedError(DbtRunnerError):
    """Nodes of the build failed; the message names each."""


class CancelledError(DbtRunnerError):
    """The step was told to stop."""

    # What a shell reports of a process that SIGTERM ended.
    exit_code = 143
