"""The age at which the newest figures count as stale."""

from datetime import timedelta

import dagster as dg

FRESH_EACH_MONTH = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=35), fail_window=timedelta(days=70))
"""A month ends every 28 to 31 days and may be published some days later; two missing months are too many."""
