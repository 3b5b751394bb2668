#!/bin/sh
# require-env NAME ...: fails unless every variable is set and not empty; names all that are missing.
set -eu

missing=
for name in "$@"; do
    [ -n "$(printenv "$name" || :)" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "the environment lacks$missing: services/README.md says what each holds" >&2
    exit 1
fi
