"""The step's request: months, nodes or tables, and their asset keys, from the Pipes context."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from dagster_pipes import PipesContext
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dbt_runner.errors import RequestError

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_NAME = "[a-z_][a-z0-9_]*"
_Extras = TypeVar("_Extras", bound=BaseModel)


class Extras(BaseModel):
    """The Pipes extras of ``build``.

    Args:
        select: dbt's unique ids of the nodes to build; empty means all.
        asset_keys: Asset keys as ``schema/name``, by dbt's unique id of the seed, model or source.
        vars: Variables for dbt in addition to the months.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    select: list[str] = []
    asset_keys: dict[str, str]
    vars: dict[str, Any] = {}


class Mart(BaseModel):
    """A mart to publish.

    Args:
        relation: The mart's table as ``schema.name``.
        by_month: Whether to publish the mart month by month, by its column ``trip_month``; if not, as a whole.
        columns: Descriptions by column name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relation: str = Field(pattern=rf"^{_NAME}\.{_NAME}$")
    by_month: bool
    columns: dict[str, str]


class PublishExtras(BaseModel):
    """The Pipes extras of ``publish``.

    Args:
        tables: The marts by the asset keys of their Iceberg tables, such as ``marts/fct_trips``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: dict[Annotated[str, Field(pattern=rf"^{_NAME}/{_NAME}$")], Mart]


@dataclass(frozen=True)
class Publication:
    """The request of one ``publish`` step.

    Args:
        months: The months whose rows to publish; empty means all.
        tables: The step's marts by the asset keys of their Iceberg tables.
    """

    months: tuple[str, ...]
    tables: Mapping[str, Mart]


@dataclass(frozen=True)
class Request:
    """The request of one ``build`` step.

    Args:
        months: The months to build, such as ``2019-01``; empty means every month that silver holds.
        select: dbt's unique ids of the nodes to build; empty means all.
        asset_keys: Dagster's asset key by dbt's unique id.
        step_assets: The asset keys that this step may report on.
        vars: Variables for dbt, including the months.
    """

    months: tuple[str, ...]
    select: tuple[str, ...]
    asset_keys: Mapping[str, str]
    step_assets: frozenset[str]
    vars: Mapping[str, Any]

    def reportable_key(self, unique_id: str | None) -> str | None:
        """Return the asset key to report a node under; None if this step must not report on it."""
        key = self.asset_keys.get(unique_id or "")
        return key if key in self.step_assets else None


def read_request(pipes: PipesContext) -> Request:
    """Read the request of a build from the Pipes context.

    Args:
        pipes: The step's Pipes context.

    Returns:
        The request, consistent in itself; whether the image's project has the nodes is checked later.

    Raises:
        RequestError: The step has no assets, its partition is not a month, or the extras do not fit ``build``.
    """
    extras = _read_extras(
        pipes, Extras, "build", "select (a list of dbt unique ids), asset_keys (dbt unique id to asset key) and vars"
    )
    months = _read_months(pipes)
    return Request(
        months=months,
        select=tuple(extras.select),
        asset_keys=extras.asset_keys,
        step_assets=frozenset(pipes.asset_keys),
        vars={**extras.vars, "trip_months": list(months)},
    )


def read_publication(pipes: PipesContext) -> Publication:
    """Read the request of a publication from the Pipes context.

    Args:
        pipes: The step's Pipes context.

    Returns:
        The request; whether the marts exist is checked later.

    Raises:
        RequestError: The step has no assets, its partition is not a month, or the extras do not fit ``publish``.
    """
    extras = _read_extras(
        pipes, PublishExtras, "publish", "tables (asset key to the mart's relation, by_month and columns)"
    )
    unknown = sorted(set(pipes.asset_keys) - set(extras.tables))
    if unknown:
        raise RequestError(
            f"The extras' tables name no mart for assets of the step: {', '.join(unknown)}. Expected one for each. "
            "Compare the host's extras with workloads/dbt_runner's README."
        )
    return Publication(
        months=_read_months(pipes), tables={key: extras.tables[key] for key in extras.tables if key in pipes.asset_keys}
    )


def describe_months(months: Sequence[str]) -> str:
    """Name months in a few words, for logs and errors."""
    if not months:
        return "every month"
    return months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"


def _read_extras(pipes: PipesContext, model: type[_Extras], command: str, expected: str) -> _Extras:
    if not pipes.is_asset_step:
        raise RequestError(
            f"This Dagster step has no assets; expected the assets that dbt_runner's {command} materializes. "
            "Start dbt_runner from an asset, as the multi-assets of the marts do."
        )
    try:
        return model.model_validate(pipes.extras)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RequestError(
            f"The Pipes extras do not fit dbt_runner's {command}: {problems}. Expected {expected}. "
            "Compare the host's extras with workloads/dbt_runner's README."
        ) from error


def _read_months(pipes: PipesContext) -> tuple[str, ...]:
    """Return the months of the step's partitions from the first to the last; empty without a partition."""
    # The range is set for a single partition too, the key only for a single partition.
    span = pipes.partition_key_range if pipes.is_partition_step else None
    if span is None:
        return ()
    for key in (span["start"], span["end"]):
        if not _MONTH.fullmatch(key):
            raise RequestError(
                f"The partition key is {key!r}; expected a month such as 2019-01. "
                "Use monthly partitions with the format %Y-%m."
            )
    first, last = (int(key[:4]) * 12 + int(key[5:]) - 1 for key in (span["start"], span["end"]))
    return tuple(f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, last + 1))
