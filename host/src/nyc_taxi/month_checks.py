"""Asset checks that the host makes from silver's report: is this month what it should be?"""

from typing import Any

import dagster as dg

from nyc_taxi.reports import read_counts, read_source

REJECTED = "rejected_share"
VENDORS = "every_row_has_a_vendor"
WHOLE_CENTS = "amounts_are_whole_cents"

# Of a real month about one row in a thousand breaks a rule: a tenth is odd, and half is another file than was meant.
WARN_ABOVE, FAIL_ABOVE = 0.1, 0.5


def rejected_share_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that stops a month of which too many rows were rejected.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        REJECTED,
        asset=asset,
        blocking=True,
        description=(
            "The share of rejected rows among the current version's, without repeats. A warning above "
            f"{WARN_ABOVE:.0%}; an error above {FAIL_ABOVE:.0%}, or if no trip is left."
        ),
    )


def check_rejected_share(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Judge how many rows of the current version were rejected.

    Args:
        result: What the silver step reported.
    """
    # Without repeats: sending a month again would halve the share.
    counts = read_counts(result, ("rows_written", "rows_rejected"))
    written, rejected = counts.values()
    judged = written + rejected
    share = rejected / judged if judged else 0.0
    fails = share > FAIL_ABOVE or written == 0
    passed = not fails and share <= WARN_ABOVE
    return dg.AssetCheckResult(
        check_name=REJECTED,
        passed=passed,
        severity=dg.AssetCheckSeverity.ERROR if fails or passed else dg.AssetCheckSeverity.WARN,
        description=(
            f"{rejected} of {judged} rows ({_percent(share)}) of {read_source(result)} were rejected; "
            f"{written or 'no'} trips are left."
            + (
                ""
                if passed
                else " silver.rejected_trips has each with its reason: if the source is wrong, correct it and "
                "materialize generate_events, bronze and silver of the month again."
            )
        ),
        metadata={**counts, "rejected_share": share},
    )


def vendors_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that warns of trips without a vendor.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(VENDORS, asset=asset, description="Each trip's vendor is known by number or by name.")


def check_vendors(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Warn of trips whose vendor is not known.

    Args:
        result: What the silver step reported.
    """
    return _none_of_written(
        result,
        VENDORS,
        "rows_without_vendor",
        "have no vendor",
        "Look at VendorID and vendor_name in bronze: if they name a vendor, silver has to learn its number.",
    )


def whole_cents_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the spec of the check that warns of amounts that were rounded.

    Args:
        asset: The asset that is checked.
    """
    return dg.AssetCheckSpec(
        WHOLE_CENTS, asset=asset, description="No amount has more than two decimals; silver rounds those that have."
    )


def check_whole_cents(result: dg.MaterializeResult[Any]) -> dg.AssetCheckResult:
    """Warn of trips with an amount that silver rounded.

    Args:
        result: What the silver step reported.
    """
    return _none_of_written(
        result,
        WHOLE_CENTS,
        "rows_rounded",
        "have an amount with more than two decimals, which silver rounded to cents",
        "Bronze has the amounts as received: compare them with the source.",
    )


def _none_of_written(
    result: dg.MaterializeResult[Any], check: str, name: str, what: str, advice: str
) -> dg.AssetCheckResult:
    """Warn if any of the written rows is of a kind."""
    counts = read_counts(result, (name, "rows_written"))
    found, written = counts.values()
    share = found / written if written else 0.0
    return dg.AssetCheckResult(
        check_name=check,
        passed=found == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"{found} of {written} trips ({_percent(share)}) of {read_source(result)} {what}."
            + (f" {advice}" if found else "")
        ),
        metadata=counts,
    )


def _percent(share: float) -> str:
    """Write a share so that a small one is not shown as none."""
    return f"{share:.1%}" if share == 0 or share >= 0.001 else "less than 0.1%"  # noqa: PLR2004  the figure in the text
