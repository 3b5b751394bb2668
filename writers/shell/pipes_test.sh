#!/bin/sh
# Unit tests of pipes.sh: the cases that are hard for a shell.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect NAME EXPECTED GOT
expect() {
    if [ "$2" != "$3" ]; then
        printf 'FAILED %s\nexpected: %s\ngot:      %s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

# started SCRIPT: runs a script as the runner would; afterwards $messages has its messages without their version.
# The parameters are zlib streams of one stored block, whose checksum gzip does not read.
started() {
    : > "$work/messages"
    code=0
    DAGSTER_PIPES_CONTEXT=$(packed "{\"path\":\"$work/context\"}") \
        DAGSTER_PIPES_MESSAGES=$(packed "{\"path\":\"$work/messages\"}") \
        sh -c ". $here/pipes.sh; pipes_open; $1" 2> "$work/stderr" || code=$?
    messages=$(sed 's/"__dagster_pipes_version":"0.1",//' "$work/messages")
}

packed() {
    {
        printf '\170\001\001'
        # shellcheck disable=SC2059  # the bytes of the block's length and its complement
        printf "$(printf '\\%03o\\000\\%03o\\377' ${#1} $((255 - ${#1})))"
        printf '%s\0\0\0\0' "$1"
    } | base64 -w 0
}

printf '%s' '{"asset_keys":["a\"b","c"],"partition_key":null,"extras":{"smile":"\ud83d\ude00\u20ac\u00fc","a\\b":{"x":[1,{"y":2}]}}}' > "$work/context"

started 'pipes_get extras smile; pipes_get asset_keys 0; pipes_get_json partition_key' > "$work/out"
expect 'surrogate pairs, escapes and null' '😀€ü
a"b
null' "$(cat "$work/out")"
expect 'a script that ends well closes Pipes' '{"method":"closed","params":{}}' "$(printf '%s\n' "$messages" | tail -n 1)"

started 'pipes_get_json extras "a\\b" x 1' > "$work/out"
expect 'a key with a backslash, and an element of a list' '{"y":2}' "$(cat "$work/out")"

started 'pipes_get extras nothing'
expect 'a missing value ends a script of one command' 1 "$code"

# shellcheck disable=SC2016  # expanded by the inner shell
started 'pipes_log INFO "$(printf "one\\n\\001two\\\\ \"three\"")"'
expect 'quoting' '{"method":"log","params":{"level":"INFO","message":"one\n\u0001two\\ \"three\""}}' "$(printf '%s\n' "$messages" | sed -n 2p)"

started 'pipes_materialize "" "" || exit 9'
expect 'a step of several assets must name one' 9 "$code"

started 'exit 7'
expect 'the exit code stays' 7 "$code"
expect 'a script that fails says so' '{"method":"closed","params":{"exception":{"name":"Exit","message":"the script ended with code 7","stack":["sh"],"cause":null,"context":null}}}' "$(printf '%s\n' "$messages" | tail -n 1)"

code=0
DAGSTER_PIPES_CONTEXT='' sh -c ". $here/pipes.sh; pipes_open" 2> "$work/stderr" || code=$?
expect 'a script that Dagster did not start' 2 "$code"
grep -q 'was this script started by Dagster?' "$work/stderr"

echo 'all passed'
