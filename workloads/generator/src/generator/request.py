"""The step's request: environment, Pipes extras and partition, all read and checked at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from dagster_pipes import DagsterPipesError, PipesContext
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from generator.errors import RequestError
from generator.month import Month

Text = Annotated[str, Field(min_length=1)]
Mode = Literal["burst", "batch", "realtime"]
SourceChoice = Literal["file", "synthetic", "file_or_synthetic"]
EnvironmentModel = TypeVar("EnvironmentModel", bound=BaseSettings)
ExtrasModel = TypeVar("ExtrasModel", bound=BaseModel)

SECRETS_FOLDER: Final = Path("/run/secrets")


class KafkaEnvironment(BaseSettings):
    """The environment of ``topics``.

    Args:
        kafka_bootstrap_servers: The brokers as ``host:port``, separated by commas.
    """

    model_config = SettingsConfigDict(frozen=True)
    kafka_bootstrap_servers: Text


class ProduceEnvironment(KafkaEnvironment):
    """The environment of ``produce``.

    Args:
        schema_registry_url: Root of an API like Confluent's.
        s3_endpoint: Address of the object store, ``http://host:port``.
        s3_region: Its region.
        landing_url: The landing zone, ``s3://bucket/folder/``.
        landing_access_key_id: Key that may read the landing zone; also as a file in ``/run/secrets``.
        landing_secret_access_key: Its secret; also as a file in ``/run/secrets``.
    """

    schema_registry_url: Text
    s3_endpoint: Text
    s3_region: Text
    landing_url: Annotated[str, Field(pattern=r"^s3://[^/]+/(.+/)?$")]
    landing_access_key_id: Annotated[SecretStr, Field(min_length=1)]
    landing_secret_access_key: Annotated[SecretStr, Field(min_length=1)]


class TopicsExtras(BaseModel):
    """Extras of ``topics``.

    Args:
        topic: Topic of the events.
        partitions: Number of its partitions if it is new, and the minimum if it exists.
        versions_topic: Topic of month versions.
    """

    model_config = ConfigDict(frozen=True, strict=True)
    topic: Text
    partitions: PositiveInt
    versions_topic: Text


class ProduceExtras(BaseModel):
    """Extras of ``produce``. Those that a step does not use may be missing or null.

    Args:
        topic: Topic of the events.
        versions_topic: Topic of month versions.
        source: ``file`` sends the month's file; ``synthetic`` synthesises the month; ``file_or_synthetic`` synthesises
            it if it has no file.
        mode: ``burst`` sends all events as fast as possible; ``batch`` does so with ``batch_size`` events, then pauses;
            ``realtime`` sends ``events_per_second`` and commits every second.
        batch_size: Number of events between two pauses in mode ``batch``.
        pause_s: Seconds of a pause in mode ``batch``.
        events_per_second: Rate in mode ``realtime``.
        events: Number of events of a synthetic month.
        seed: Seed of a synthetic month.
        file_before: Name of the file whose trips the month holds, as the host remembers it; null if it remembers none.
    """

    model_config = ConfigDict(frozen=True, strict=True)
    topic: Text
    versions_topic: Text
    source: SourceChoice
    mode: Mode
    batch_size: PositiveInt | None = None
    pause_s: Annotated[float, Field(ge=0)] | None = None
    events_per_second: PositiveFloat | None = None
    events: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    file_before: Text | None = None

    @model_validator(mode="after")
    def _mode_has_its_settings(self) -> "ProduceExtras":
        needed = {"burst": (), "batch": ("batch_size", "pause_s"), "realtime": ("events_per_second",)}
        missing = [name for name in needed[self.mode] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{' and '.join(missing)} missing, which mode {self.mode} needs")
        return self

    @model_validator(mode="after")
    def _source_has_its_settings(self) -> "ProduceExtras":
        missing = [name for name in ("events", "seed") if getattr(self, name) is None]
        if missing and self.source != "file":
            raise ValueError(f"{' and '.join(missing)} missing, which source {self.source} needs")
        return self


@dataclass(frozen=True, slots=True)
class TopicsRequest:
    """The request of a ``topics`` step.

    Args:
        environment: The environment.
        extras: The Pipes extras.
    """

    environment: KafkaEnvironment
    extras: TopicsExtras


@dataclass(frozen=True, slots=True)
class ProduceRequest:
    """The request of a ``produce`` step.

    Args:
        environment: The environment.
        extras: The Pipes extras.
        month: The month of the partition key.
    """

    environment: ProduceEnvironment
    extras: ProduceExtras
    month: Month


def read_topics_request(pipes: PipesContext) -> TopicsRequest:
    """Read the request of a ``topics`` step.

    Args:
        pipes: The step's Pipes context.

    Returns:
        The request.

    Raises:
        RequestError: Something is missing or wrong; the message names all of it.
    """
    faults: list[str] = []
    environment = _read_environment(KafkaEnvironment, faults)
    extras = _read_extras(TopicsExtras, pipes, faults)
    if environment is None or extras is None:
        raise _incomplete(faults)
    return TopicsRequest(environment, extras)


def read_produce_request(pipes: PipesContext) -> ProduceRequest:
    """Read the request of a ``produce`` step.

    Args:
        pipes: The step's Pipes context.

    Returns:
        The request.

    Raises:
        RequestError: Something is missing or wrong; the message names all of it.
    """
    faults: list[str] = []
    environment = _read_environment(ProduceEnvironment, faults)
    extras = _read_extras(ProduceExtras, pipes, faults)
    month = _read_month(pipes, faults)
    if environment is None or extras is None or month is None:
        raise _incomplete(faults)
    return ProduceRequest(environment, extras, month)


def _read_environment(model: type[EnvironmentModel], faults: list[str]) -> EnvironmentModel | None:
    try:
        return model(_secrets_dir=SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None)
    except ValidationError as error:
        faults.extend(_describe(error, "environment variable", str.upper))
        return None


def _read_extras(model: type[ExtrasModel], pipes: PipesContext, faults: list[str]) -> ExtrasModel | None:
    try:
        return model.model_validate(pipes.extras)
    except ValidationError as error:
        faults.extend(_describe(error, "extra", str))
        return None


def _read_month(pipes: PipesContext, faults: list[str]) -> Month | None:
    try:
        return Month.parse(pipes.partition_key)
    except (DagsterPipesError, RequestError) as error:
        faults.append(f"partition: {error}")
        return None


def _describe(error: ValidationError, source: str, spell: Callable[[str], str]) -> list[str]:
    return [
        ": ".join((" ".join((source, *(spell(str(part)) for part in fault["loc"]))), fault["msg"]))
        for fault in error.errors(include_url=False)
    ]


def _incomplete(faults: list[str]) -> RequestError:
    return RequestError(
        "the step's input is missing or wrong",
        expected="the settings that workloads/generator/README.md lists",
        got="; ".join(faults),
        todo="correct it where the step is started",
    )
