#!/bin/sh
# require-env NAME ...: fails unless every variable is set and not empty; the message names all missing ones.
set -eu

missing=
for name in "$@"; do
    [ -n "$(printenv "$name" || :)" ] || missing="$missing $name"
done
if [ -n "$missing" ]; then
    echo "the environment lacks$missing: services/README.md describes each variable" >&2
    exit 1
fi
