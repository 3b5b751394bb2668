"""Judges what a workload reported against what its step must report, before Dagster records any of it.

Dagster raises errors of its own for most of these, after it has recorded what came before; and it says nothing of an
output that is optional, which a report that never came then leaves out.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from drayage.promise import Promise
from drayage.verdict.promises import broken_promises, unreported_promises

_LEFT_OUT = (
    "If the asset's own code reports it, leave it out of the argument `reports`, which names the assets and checks "
    "that the workload reports"
)

Check = tuple[str, str]


@dataclass(frozen=True)
class Expected:
    """What a step may report, and must; assets by their keys as Pipes writes them, checks by asset and name.

    Args:
        promised: The promises of the assets that must keep theirs.
        assets: The assets that may be reported; None means any.
        checks: The checks that may be reported; None means any.
        required_assets: The assets that must be reported.
        required_checks: The checks that must be reported.
        made_from: The assets of the step that are made from each, where Dagster gets the results in the order of the
            reports: it does not take an asset after one that is made from it.
    """

    promised: Mapping[str, Mapping[str, Promise]] = field(default_factory=dict)
    assets: Collection[str] | None = None
    checks: Collection[Check] | None = None
    required_assets: Collection[str] = ()
    required_checks: Collection[Check] = ()
    made_from: Mapping[str, Collection[str]] = field(default_factory=dict)


class Reports:
    """The materializations and checks that a workload has reported so far.

    Args:
        expected: What it may report, and must.
    """

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._assets: Counter[str] = Counter()
        self._checks: Counter[Check] = Counter()

    def take_materialization(self, asset: str, metadata: Mapping[str, Any] | None) -> list[str]:
        """Count a materialization.

        Args:
            asset: The asset's key, as Pipes writes it.
            metadata: The reported metadata, as Dagster's values.

        Returns:
            What is wrong with it, one clause each; if anything is, Dagster must not get it.
        """
        expected = self._expected
        self._assets[asset] += 1
        if expected.assets is not None and asset not in expected.assets:
            return [f"a materialization of {asset} was reported, which is not one of the step's assets"]
        if self._assets[asset] > 1:
            return [f"{asset} was reported as materialized {_times(self._assets[asset])}: report each asset once"]
        if before := sorted(other for other in expected.made_from.get(asset, ()) if self._assets[other]):
            return [f"{asset} was reported after {before[0]}, which is made from it: report them the other way round"]
        broken = broken_promises(expected.promised.get(asset, {}), metadata)
        return [f"{asset} was promised metadata: {text}" for text in broken]

    def take_check(self, asset: str, name: str) -> list[str]:
        """Count the result of a check; what is returned is as in :meth:`take_materialization`."""
        expected, check = self._expected, (asset, name)
        self._checks[check] += 1
        if expected.checks is not None and check not in expected.checks:
            declared = ", ".join(f"{name!r} of {asset}" for asset, name in sorted(expected.checks)) or "none"
            return [f"a check {name!r} of {asset} was reported, which is not declared; declared are: {declared}"]
        if self._checks[check] > 1:
            return [f"the check {name!r} of {asset} was reported {_times(self._checks[check])}: report each check once"]
        return []

    def missing(self) -> list[str]:
        """Return what had to be reported and was not, one clause each."""
        expected = self._expected
        promised = {asset: expected.promised.get(asset, {}) for asset in expected.required_assets}
        if not (self._assets or self._checks):
            # A call that reports nothing prepares another one of the same step, unless something was promised of it.
            return unreported_promises(promised, self._assets)
        assets = [asset for asset, promises in promised.items() if not promises and asset not in self._assets]
        checks = [check for check in sorted(expected.required_checks) if check not in self._checks]
        return [
            *unreported_promises(promised, self._assets),
            *(f"no materialization of {asset} was reported, which this step makes. {_LEFT_OUT}" for asset in assets),
            *(f"the check {name!r} of {asset} was declared and not reported. {_LEFT_OUT}" for asset, name in checks),
        ]


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"  # noqa: PLR2004 - a word of its own
