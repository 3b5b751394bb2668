#!/bin/bash
# Creates the cluster at the first start, updates the roles, then runs the server.
set -euo pipefail

missing=()
for name in POSTGRES_PASSWORD DAGSTER_POSTGRES_PASSWORD CATALOG_POSTGRES_PASSWORD REGISTRY_POSTGRES_PASSWORD; do
    [ -n "${!name:-}" ] || missing+=("$name")
done
if [ "${#missing[@]}" -gt 0 ]; then
    echo "the environment lacks ${missing[*]}: give each role's password" >&2
    exit 1
fi

if [ ! -e "$PGDATA" ]; then
    # Moved into place when it is complete, so that an interrupted first start begins again.
    rm -rf "$PGDATA.new"
    initdb --pgdata "$PGDATA.new" --username postgres --auth scram-sha-256 --pwfile <(echo "$POSTGRES_PASSWORD") \
        --encoding UTF8 --locale-provider builtin --locale C.UTF-8 > /dev/null
    mv "$PGDATA.new" "$PGDATA"
fi
cp /etc/drayage/postgresql.conf "$PGDATA/postgresql.conf"

# Only this script can connect until the roles are set up.
trap 'pg_ctl --silent --mode fast stop; exit 1' INT TERM
pg_ctl --silent --wait --timeout 300 start \
    --options "-c listen_addresses='' -c hba_file=/etc/drayage/pg_hba.setup.conf -c log_min_messages=fatal"
psql --no-psqlrc --quiet --username postgres --file /etc/drayage/roles.sql
pg_ctl --silent --wait --mode fast stop
trap - INT TERM

exec postgres
