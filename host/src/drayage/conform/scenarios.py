"""Defines the scenarios, in the order in which they are run and shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg

from drayage.conform import expectations as expected
from drayage.conform.evidence import Evidence
from drayage.conform.values import TEXT
from drayage.dagster_internals import RANGE_TAGS

SECRET = "token"  # noqa: S105 - the secret's name

_DAYS = dg.DailyPartitionsDefinition(start_date="2024-01-01")
_TWO_ZONES = ("east", "zone 1/2 ü")
_ZONES = dg.StaticPartitionsDefinition(_TWO_ZONES)
_BOTH = dg.MultiPartitionsDefinition({"day": _DAYS, "zone": _ZONES})
_THREE_DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
_RANGE = (_THREE_DAYS[0], _THREE_DAYS[-1])
_STRANGE_KEY = dg.AssetKey(["lake", "a/b\\c ü"])
_SOURCE = dg.AssetKey(["lake", "source"])
_MADE = dg.AssetKey(["lake", "made"])
_TWO_ASSETS = (dg.AssetKey(["lake", "a"]), dg.AssetKey(["lake", "b"]))
_CONTEXT: dict[str, Any] = {
    "text": TEXT,
    "kinds": [None, True, 0, -1.5, "", [], {"a b": {"c": [1]}}],
    "control": "\u0001\b\f\r",
    # Has the name of one of the context's own members: a program must parse the context, not search its text.
    "partition_key": '"},]\\',
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """The step that Dagster runs.

    Args:
        assets: Keys of the assets that the step makes; empty for an op without assets.
        checks: Names of the first asset's checks.
        partitions: Partitions of the assets.
        partition_key: The partition to make.
        partition_range: First and last of several partitions to make.
        retries: Number of times that the step fails before the program is started.
        source: Key of the asset that the others depend on; they have been made once before, from its data version
            ``v7``.
    """

    assets: tuple[dg.AssetKey, ...] = (dg.AssetKey(["lake", "trips"]),)
    checks: tuple[str, ...] = ()
    partitions: dg.PartitionsDefinition[str] | None = None
    partition_key: str | None = None
    partition_range: tuple[str, str] | None = None
    retries: int = 0
    source: dg.AssetKey | None = None

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's tags by which Dagster recognises a range of partitions."""
        return dict(zip(RANGE_TAGS, self.partition_range or (), strict=False))

    def definition(self, run: Callable[[Any], Any]) -> dg.AssetsDefinition:
        """Return the definition of the assets.

        Args:
            run: Called by the step with Dagster's context; returns the step's results.
        """

        @dg.multi_asset(
            name="step",
            # By ``outs``, because the keys of ``specs`` must be Python identifiers.
            outs={f"asset_{n}": _out(key) for n, key in enumerate(self.assets)},
            deps=[self.source] if self.source else [],
            check_specs=[dg.AssetCheckSpec(name, asset=self.assets[0]) for name in self.checks],
            partitions_def=self.partitions,
            backfill_policy=dg.BackfillPolicy.single_run() if self.partitions else None,
        )
        def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
            if context.retry_number < self.retries:
                raise dg.RetryRequested(max_retries=self.retries)
            yield from run(context)

        return step

    def made_before(self) -> list[dg.AssetsDefinition]:
        """Return definitions of the source and of the same assets, made by steps that need no program."""

        @dg.asset(key=self.source)
        def source() -> dg.MaterializeResult[Any]:
            return dg.MaterializeResult(data_version=dg.DataVersion("v7"))

        def made(_: object) -> Iterator[dg.MaterializeResult[Any]]:
            for key in self.assets:
                yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion("v1"))

        return [source, self.definition(made)]


def _out(key: dg.AssetKey) -> dg.AssetOut:
    return dg.AssetOut(key=key, code_version="1", dagster_type=dg.Nothing)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One thing that a workload must be able to do.

    Args:
        name: Name of the scenario in tables.
        expect: Yields everything that does not hold.
        program: The scenario that the program is asked for, as in the contract; by default, ``name``.
        extras: Further extras of the context.
        step: The step that Dagster runs.
        settings: Settings of the step, such as its limits.
        secrets: Names of the secrets that the program gets.
        by_output: Whether messages are read from the program's output instead of a file.
        green: Whether the step must succeed; otherwise it must fail.
    """

    name: str
    expect: Callable[[Evidence], Iterator[str]]
    program: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)
    step: Step = Step()
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    by_output: bool = False
    green: bool = True

    @property
    def asked(self) -> Mapping[str, Any]:
        """The extras that the program gets."""
        return {"drayage/scenario": self.program or self.name, **self.extras}


def _context(name: str, step: Step, *, partitions: Sequence[str | None] = (None,), **told: Any) -> Scenario:
    """Return a scenario for one kind of context.

    Args:
        name: Name of the kind.
        step: The step that Dagster runs.
        partitions: The partitions of each asset that must be materialized.
        told: Members of the context, and the values that the host must have written for them.
    """
    expect = partial(expected.knows_context, told=told, partitions=partitions)
    return Scenario(name=f"context: {name}", program="context", extras=_CONTEXT, step=step, expect=expect)


def _key_range(start: str, end: str) -> dict[str, str]:
    return {"start": start, "end": end}


SCENARIOS: tuple[Scenario, ...] = (
    _context("an asset", Step(), partition_key=None, retry_number=0),
    _context(
        "an asset once more",
        Step(assets=(_MADE,), source=_SOURCE),
        code_version_by_asset_key={"lake/made": "1"},
        provenance_by_asset_key={
            "lake/made": {"code_version": "1", "input_data_versions": {"lake/source": "v7"}, "is_user_provided": True}
        },
    ),
    _context("an asset of a strange name", Step(assets=(_STRANGE_KEY,)), asset_keys=["lake/a\\/b\\\\c ü"]),
    _context("a retry", Step(retries=1), retry_number=1),
    _context(
        "a partition",
        Step(partitions=_DAYS, partition_key="2024-01-01"),
        partitions=_THREE_DAYS[:1],
        partition_key="2024-01-01",
        partition_key_range=_key_range("2024-01-01", "2024-01-01"),
        partition_time_window=_key_range("2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00"),
    ),
    _context(
        "a partition without time",
        Step(partitions=_ZONES, partition_key="zone 1/2 ü"),
        partitions=("zone 1/2 ü",),
        partition_key="zone 1/2 ü",
        partition_time_window=None,
    ),
    _context(
        "a partition of two dimensions",
        Step(partitions=_BOTH, partition_key="2024-01-01|east"),
        partitions=("2024-01-01|east",),
        partition_key="2024-01-01|east",
        partition_key_range=_key_range("2024-01-01|east", "2024-01-01|east"),
        partition_time_window=_key_range("2024-01-01T00:00:00+00:00", "2024-01-02T00:00:00+00:00"),
    ),
    _context(
        "a range of partitions",
        Step(partitions=_DAYS, partition_range=_RANGE),
        partitions=_THREE_DAYS,
        partition_key=None,
        partition_key_range=_key_range("2024-01-01", "2024-01-03"),
        partition_time_window=_key_range("2024-01-01T00:00:00+00:00", "2024-01-04T00:00:00+00:00"),
    ),
    _context(
        "a range of partitions without time",
        Step(partitions=_ZONES, partition_range=_TWO_ZONES),
        partitions=_TWO_ZONES,
        partition_key=None,
        partition_key_range=_key_range(*_TWO_ZONES),
        partition_time_window=None,
    ),
    _context("several assets", Step(assets=_TWO_ASSETS)),
    _context(
        "several assets, a range of partitions",
        Step(assets=_TWO_ASSETS, partitions=_DAYS, partition_range=_RANGE),
        partitions=_THREE_DAYS,
        partition_key_range=_key_range("2024-01-01", "2024-01-03"),
    ),
    _context("no asset", Step(assets=()), asset_keys=None),
    Scenario(name="metadata", expect=expected.has_metadata),
    Scenario(
        name="metadata, confined",
        program="metadata",
        expect=expected.has_metadata,
        settings={"user": "12345:12345", "read_only_root": True, "no_new_privileges": True, "cap_drop": ("ALL",)},
    ),
    Scenario(name="metadata, by the output", program="metadata", expect=expected.has_metadata, by_output=True),
    Scenario(name="checks", expect=expected.has_checks, step=Step(checks=("whole", "fresh"))),
    Scenario(name="logs", expect=expected.has_logs),
    Scenario(name="custom", expect=expected.has_custom),
    Scenario(
        name="partitions",
        expect=expected.has_partitions,
        extras={"partitions": _THREE_DAYS},
        step=Step(assets=_TWO_ASSETS, partitions=_DAYS, partition_range=_RANGE),
    ),
    Scenario(name="streams", expect=expected.has_streams),
    Scenario(
        name="large",
        expect=expected.has_large,
        extras={"characters": expected.LARGE_CHARACTERS, "padding": "x" * 1_000_000},
    ),
    Scenario(name="many", expect=expected.has_many, extras={"count": expected.MANY_MESSAGES}),
    Scenario(name="exception", expect=expected.has_exception, green=False),
    Scenario(name="sigterm", expect=expected.ends_by_sigterm, green=False, settings={"idle_timeout_s": 2.0}),
    Scenario(name="secret", expect=expected.keeps_secret, secrets=(SECRET,)),
)
