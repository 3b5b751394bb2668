#!/bin/sh
# Counts rows, and prints how many: put your own work in its place.
#
# A line NAME=VALUE on standard output is metadata, every other line is log. Every name that the host's entry promises must be
# there. The exit code says whether the work was done.
set -eu

# A condition of `while` may fail without an end to the script, so that it is tried here first.
[ "$ROWS" -ge 0 ]
echo "counting up to $ROWS"
counted=0
while [ "$counted" -lt "$ROWS" ]; do
    counted=$((counted + 1))
done
echo "rows=$counted"
