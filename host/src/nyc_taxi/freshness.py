"""When the newest figures are too old."""

from datetime import timedelta

import dagster as dg

FRESH_EACH_MONTH = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=35), fail_window=timedelta(days=70))
"""A month is over every 28 to 31 days, and some days may pass until it is published; two missing ones are too many."""
