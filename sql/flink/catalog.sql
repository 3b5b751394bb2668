-- Grain: none; attaches the lake to the session and creates its namespaces.
-- Rerun: creates what is missing.
--
-- This file holds no credentials: Flink's processes have AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
CREATE CATALOG lake WITH (
    'type' = 'iceberg',
    'catalog-type' = 'rest',
    'uri' = '${catalog_uri}',
    'warehouse' = '${warehouse}',
    'io-impl' = 'org.apache.iceberg.aws.s3.S3FileIO',
    's3.endpoint' = '${s3_endpoint}',
    's3.path-style-access' = 'true',
    'client.region' = '${s3_region}',
    'cache-enabled' = 'false'
);

CREATE DATABASE IF NOT EXISTS lake.bronze;

CREATE DATABASE IF NOT EXISTS lake.silver;
