-- Grain: none; the session's door to the lake, and the namespaces in it.
-- Rerun: creates what is missing.
--
-- No credential stands here: Flink's processes hold AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
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
