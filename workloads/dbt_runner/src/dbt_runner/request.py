"""What the step was asked to do: month, nodes and their asset keys, from the Pipes context."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_pipes import DagsterPipesError, PipesContext
from pydantic import BaseModel, ConfigDict, ValidationError

from dbt_runner.errors import RequestError

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class Extras(BaseModel):
    """The Pipes extras of ``build``.

    Args:
        select: dbt's unique ids of the nodes to build; empty means all.
        asset_keys: Asset keys as ``schema/name`` by dbt's unique id of the seed, model or source.
        vars: Variables for dbt, beside the month.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    select: list[str] = []
    asset_keys: dict[str, str]
    vars: dict[str, Any] = {}


@dataclass(frozen=True)
class Request:
    """One build as it was asked for.

    Args:
        month: The month to build, such as ``2019-01``; None for every month that silver holds.
        select: dbt's unique ids of the nodes to build; empty means all.
        asset_keys: Dagster's asset key by dbt's unique id.
        step_assets: The asset keys that this step may report on.
        vars: Variables for dbt, the month among them.
    """

    month: str | None
    select: tuple[str, ...]
    asset_keys: Mapping[str, str]
    step_assets: frozenset[str]
    vars: Mapping[str, Any]

    def reportable_key(self, unique_id: str | None) -> str | None:
        """Tell the asset key to report a node under; None if this step must not report on it."""
        key = self.asset_keys.get(unique_id or "")
        return key if key in self.step_assets else None


def read_request(pipes: PipesContext) -> Request:
    """Read the request from the Pipes context.

    Args:
        pipes: The context of the step.

    Returns:
        The request, in itself consistent; whether the image's project has such nodes is not looked at.

    Raises:
        RequestError: The step has no assets, several partitions or a partition that is no month, or the extras are
            not those of ``build``.
    """
    if not pipes.is_asset_step:
        raise RequestError(
            "This Dagster step has no assets; expected the dbt seeds and models that it builds. "
            "Start dbt_runner from an asset, as the multi-asset of the dbt project does."
        )
    try:
        extras = Extras.model_validate(pipes.extras)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RequestError(
            f"The Pipes extras do not fit dbt_runner's build: {problems}. Expected select (a list of dbt unique ids), "
            "asset_keys (dbt unique id to asset key) and vars. "
            "Compare the host's extras with workloads/dbt_runner's README."
        ) from error
    month = _read_month(pipes)
    return Request(
        month=month,
        select=tuple(extras.select),
        asset_keys=extras.asset_keys,
        step_assets=frozenset(pipes.asset_keys),
        vars={**extras.vars, "trip_month": month},
    )


def _read_month(pipes: PipesContext) -> str | None:
    if not pipes.is_partition_step:
        return None
    try:
        month = pipes.partition_key
    except DagsterPipesError as error:
        keys = pipes.partition_key_range
        raise RequestError(
            f"The step has the partitions {keys['start']} to {keys['end']}; dbt_runner builds one month a step, "
            "or all when the step has no partition. Launch a run for each month."
        ) from error
    if not _MONTH.fullmatch(month):
        raise RequestError(
            f"The partition key is {month!r}; expected a month such as 2019-01. "
            "Use monthly partitions with the format %Y-%m."
        )
    return month
