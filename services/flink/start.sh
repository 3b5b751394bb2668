#!/bin/sh
# start jobmanager|taskmanager|sql-gateway [-Dkey=value ...]: runs that part of the Flink cluster.
set -eu

export FLINK_CONF_DIR=/opt/flink/conf FLINK_LIB_DIR=/opt/flink/lib FLINK_PLUGINS_DIR=/opt/flink/plugins
CONFIG="--configDir $FLINK_CONF_DIR"

role=${1:-}
case $role in
    jobmanager)
        main=org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint
        memory="-Xms256m -Xmx640m -XX:MaxMetaspaceSize=256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        options=$CONFIG
        ;;
    taskmanager)
        # Heap and direct memory are sums from config.yaml: framework and task; framework, task and network.
        main=org.apache.flink.runtime.taskexecutor.TaskManagerRunner
        memory="-Xms1024m -Xmx1024m -XX:MaxDirectMemorySize=384m -XX:MaxMetaspaceSize=320m -XX:+UseParallelGC"
        options="$CONFIG -Dtaskmanager.host=$(hostname)"
        ;;
    sql-gateway)
        # Planning code runs only a few times, so compiling it fully costs more than it gains.
        main=org.apache.flink.table.gateway.SqlGateway
        memory="-Xms256m -Xmx768m -XX:MaxMetaspaceSize=320m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        options=
        ;;
    *)
        echo "expected jobmanager, taskmanager or sql-gateway, got '$role'" >&2
        exit 2
        ;;
esac
shift
require-env AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION

# The planner is in a folder that only the gateway reads, because on a TaskManager it breaks Iceberg's sink.
CLASSPATH=$(printf '%s:' /opt/flink/lib/*.jar)
[ "$role" != sql-gateway ] || CLASSPATH=$CLASSPATH$(printf '%s:' /opt/flink/lib-gateway/*.jar)
for jar in /opt/flink/functions/*.jar; do
    [ ! -e "$jar" ] || CLASSPATH=$CLASSPATH$jar:
done
export CLASSPATH

# Missing while the image is built; Java ignores an archive that does not fit.
archive=/opt/flink/archives/$role.jsa
[ ! -e "$archive" ] || memory="$memory -XX:SharedArchiveFile=$archive"

# shellcheck disable=SC2086 # Lists of options.
exec java $memory @/opt/flink/conf/java.options ${JAVA_OPTS:-} "$main" $options "$@"
