#!/bin/sh
# Counts rows and prints how many: replace this with your own work.
#
# A line NAME=VALUE on standard output is metadata; every other line goes into the log. Every name that the host's entry
# promises must be printed. The exit code tells whether the work succeeded.
set -eu

# A failing condition of `while` does not end the script, so it is checked here first.
[ "$ROWS" -ge 0 ]
echo "counting up to $ROWS"
counted=0
while [ "$counted" -lt "$ROWS" ]; do
    counted=$((counted + 1))
done
echo "rows=$counted"
