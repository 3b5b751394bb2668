#!/bin/sh
# Runs the catalog.
set -eu

require-env CATALOG_URI CATALOG_JDBC_USER CATALOG_JDBC_PASSWORD CATALOG_WAREHOUSE CATALOG_S3_ENDPOINT \
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION

# The configuration folder comes first, because the jar contains its own logging settings.
# shellcheck disable=SC2086 # JAVA_OPTS is a list of options.
exec java $JAVA_OPTS -cp "/opt/catalog/config:/opt/catalog/lib/*" org.apache.iceberg.rest.RESTCatalogServer
