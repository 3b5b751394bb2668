-- Creates roles with their passwords and databases, from the environment. Runs at every start: existing roles
-- and databases stay, and each password is set from its variable.

\set ON_ERROR_STOP on
\getenv postgres_password POSTGRES_PASSWORD
\getenv dagster_password DAGSTER_POSTGRES_PASSWORD
\getenv iceberg_password CATALOG_POSTGRES_PASSWORD
\getenv registry_password REGISTRY_POSTGRES_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES ('dagster'), ('iceberg'), ('registry')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

SELECT format('CREATE DATABASE %I OWNER %I', name, name)
FROM (VALUES ('dagster'), ('iceberg'), ('registry')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec

ALTER ROLE postgres PASSWORD :'postgres_password';
ALTER ROLE dagster PASSWORD :'dagster_password';
ALTER ROLE iceberg PASSWORD :'iceberg_password';
ALTER ROLE registry PASSWORD :'registry_password';
