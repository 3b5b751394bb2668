"""The partitions: one for each month, like the files that the TLC publishes."""

import dagster as dg

from nyc_taxi.months import FIRST_MONTH, MONTH_FORMAT

MONTHS = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, fmt=MONTH_FORMAT)
