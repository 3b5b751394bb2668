#!/bin/sh
# The conformance program: it runs each scenario of docs/workload-contract.md.
set -eu

# shellcheck source=writers/shell/pipes.sh
. "${PIPES_SH:-/opt/drayage/pipes.sh}"

TEXT=$(printf 'quote " backslash \\ newline \n tab \t umlaut ü euro € smile 😀')

context() {
    pipes_get extras text
    members=
    for name in asset_keys code_version_by_asset_key provenance_by_asset_key partition_key partition_key_range \
        partition_time_window run_id job_name retry_number extras; do
        members="$members${members:+,}\"$name\":$(pipes_get_json "$name")"
    done
    pipes_custom "{\"context\":{$members}}"
    number=0
    while asset=$(pipes_get asset_keys "$number" 2> /dev/null); do
        pipes_materialize "$asset" ''
        number=$((number + 1))
    done
}

metadata() {
    columns='{"name":"fare","type":"decimal","description":"What was paid","tags":{"unit":"usd"},
        "constraints":{"nullable":false,"unique":false,"other":["> 0"]}},{"name":"note","type":"text"}'
    from='{"asset_key":["silver","cleaned_trips"],"column_name":'
    pipes_materialize '' v1 \
        "$(pipes_text text text "$TEXT")" \
        "$(pipes_text url url 'https://example.org/a?b=c&d')" \
        "$(pipes_text path path /data/a.parquet)" \
        "$(pipes_text notebook notebook /data/a.ipynb)" \
        "$(pipes_text md md '**bold**')" \
        "$(pipes_value json json '{"a":[1,null,true]}')" \
        "$(pipes_value int int 9007199254740991)" \
        "$(pipes_value float float 0.1)" \
        "$(pipes_value whole float 3.0)" \
        "$(pipes_value million float 1000000.0)" \
        "$(pipes_value bool bool true)" \
        "$(pipes_value null null null)" \
        "$(pipes_value timestamp timestamp 1704067200.5)" \
        "$(pipes_text run dagster_run "$(pipes_get run_id)")" \
        "$(pipes_text asset asset silver/cleaned_trips)" \
        "$(pipes_value inferred __infer__ '[1,"a"]')" \
        "$(pipes_value table table '{"records":[{"day":"2024-01-01","trips":2},{"day":"2024-01-02","trips":null}],"schema":[{"name":"day","type":"date"},{"name":"trips","type":"int"}]}')" \
        "$(pipes_value schema table_schema "{\"columns\":[$(printf '%s' "$columns" | tr -d '\n')]}")" \
        "$(pipes_value lineage table_column_lineage "{\"deps_by_column\":{\"fare\":[$from\"fare_amount\"},$from\"tip\"}]}}")"
}

checks() {
    pipes_check '' whole true ERROR "$(pipes_value rows int 3)"
    pipes_check '' fresh false WARN "$(pipes_value age_s float 1.5)"
    pipes_materialize '' ''
}

logs() {
    echo 'to stdout'
    echo 'to stderr' >&2
    for level in DEBUG INFO WARNING ERROR CRITICAL; do
        pipes_log "$level" "$level $TEXT"
    done
    pipes_materialize '' ''
}

custom() {
    for payload in null true 7 0.5 "$(pipes_quote "$TEXT")" '[1,[2]]' '{"kind":"own","a":{"b":null}}'; do
        pipes_custom "$payload"
    done
    pipes_progress '' "$(pipes_value rows int 1)"
    pipes_materialize '' ''
}

partitions() {
    place=0
    while asset=$(pipes_get asset_keys "$place" 2> /dev/null); do
        number=0
        while key=$(pipes_get extras partitions "$number" 2> /dev/null); do
            pipes_partition_metadata "$asset" "$key" "$(pipes_value number int "$number")"
            number=$((number + 1))
        done
        pipes_progress "$asset" "$(pipes_value rows int 1)"
        pipes_materialize "$asset" ''
        place=$((place + 1))
    done
}

streams() {
    pipes_external_stream stdout "stdout $TEXT"
    pipes_external_stream stderr "stderr $TEXT"
    pipes_materialize '' ''
}

large() {
    characters=$(pipes_get extras characters)
    padding=$(pipes_get extras padding)
    text=$(head -c "$characters" /dev/zero | tr '\0' x)
    pipes_materialize '' '' "$(pipes_text large text "$text")" "$(pipes_value padding int ${#padding})"
}

many() {
    count=$(pipes_get extras count)
    pipes_log INFO begin
    number=0
    while [ "$number" -lt "$count" ]; do
        pipes_custom "{\"number\":$number}"
        number=$((number + 1))
    done
    pipes_log INFO end
    pipes_materialize '' ''
}

exception() {
    pipes_fail NoTrips 'no trips' EmptyFile 'the file is empty'
}

sigterm() {
    pipes_custom '"ready"'
    pipes_run sleep infinity
}

secret() {
    token=$(cat /run/secrets/token)
    echo "$token"
    pipes_materialize '' '' "$(pipes_value characters int ${#token})"
}

pipes_open
scenario=$(pipes_get extras drayage/scenario)
case $scenario in
    context | metadata | checks | logs | custom | partitions | streams | large | many | exception | sigterm | secret) "$scenario" ;;
    *) pipes_fail UnknownScenario "unknown scenario '$scenario'" ;;
esac
