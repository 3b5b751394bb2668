#!/bin/sh
# Runs the registry.
set -eu

require-env APICURIO_DATASOURCE_URL APICURIO_DATASOURCE_USERNAME APICURIO_DATASOURCE_PASSWORD

# shellcheck disable=SC2086 # JAVA_OPTS is a list of options.
exec java $JAVA_OPTS -Djava.util.logging.manager=org.jboss.logmanager.LogManager \
    -jar /opt/registry/quarkus-run.jar
