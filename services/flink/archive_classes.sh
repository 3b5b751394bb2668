#!/bin/bash
# Runs a cluster once at build time, with jobs like the real ones, and archives the classes that each
# role's Java loaded: /tmp/archives/<role>.jsa.
set -euo pipefail

DEADLINE_S=900
GATEWAY=http://localhost:8083/v1
export AWS_ACCESS_KEY_ID=unused AWS_SECRET_ACCESS_KEY=unused AWS_REGION=unused

main() {
    mkdir /tmp/archives
    run jobmanager
    run taskmanager
    run sql-gateway
    await 'four free slots' check_slots
    await 'the gateway' check_gateway

    session=$(post sessions '{"properties": {"execution.runtime-mode": "batch", "table.dml-sync": "true"}}' sessionHandle)
    while read -r -d ';' sql; do
        execute "$(echo "$sql" | tr '\n' ' ')"
    done < "$1"

    # Java writes the archive when it exits; 143 is the exit code after SIGTERM, which is expected here.
    for role in sql-gateway taskmanager jobmanager; do
        kill -TERM "${pid[$role]}"
        wait "${pid[$role]}" || [ $? -eq 143 ]
        test -s "/tmp/archives/$role.jsa"
    done
}

declare -A pid

run() {
    JAVA_OPTS="-XX:ArchiveClassesAtExit=/tmp/archives/$1.jsa -Xlog:cds=error -Xlog:cds+dynamic=error" \
        start "$1" -Djobmanager.rpc.address=localhost -Drest.address=localhost \
        -Dsql-gateway.endpoint.rest.address=localhost > "/tmp/$1.log" 2>&1 &
    pid[$1]=$!
}

check_slots() {
    curl --silent http://localhost:8081/overview | grep -q '"slots-available":4'
}

check_gateway() {
    curl --silent --output /dev/null "$GATEWAY/info"
}

# await WHAT COMMAND ...: repeats the command until it succeeds.
await() {
    until "${@:2}"; do
        for role in "${!pid[@]}"; do
            kill -0 "${pid[$role]}" 2> /dev/null || fail "$role died while waiting for $1"
        done
        [ "$SECONDS" -lt "$DEADLINE_S" ] || fail "waited in vain for $1 until second $DEADLINE_S"
        sleep 0.2
    done
}

# post PATH BODY KEY: prints the value of KEY in the answer.
post() {
    answer=$(curl --silent --json "$2" "$GATEWAY/$1")
    value=$(echo "$answer" | sed -n "s/.*\"$3\":\"\([^\"]*\)\".*/\1/p")
    [ -n "$value" ] || fail "expected $3 in the gateway's answer, got: $answer"
    echo "$value"
}

execute() {
    operation=$(post "sessions/$session/statements" "{\"statement\": \"$1\"}" operationHandle)
    result="$GATEWAY/sessions/$session/operations/$operation/result/0"
    await "the end of: $1" has_result
}

has_result() {
    answer=$(curl --silent "$result")
    case $answer in
        *'"resultType":"NOT_READY"'*) return 1 ;;
        *'"errors"'*) fail "the gateway refused a statement: $answer" ;;
    esac
}

fail() {
    tail -n 50 /tmp/*.log >&2
    echo "cannot archive the cluster's classes: $1" >&2
    exit 1
}

main "$@"
