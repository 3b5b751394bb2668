"""Builds the taxi pipeline's marts with dbt, and publishes them as Iceberg tables: two steps of a Dagster run.

Read in this order: ``__main__`` (the commands), ``build`` (the step from context to verdict), ``request`` and
``settings`` (what was asked, and where things are), ``lake`` and ``marts`` (what dbt reads from and writes to),
``content`` (what a table holds), ``project`` (the dbt project baked into the image), ``reporter`` (dbt's events as
Pipes messages), ``outcome`` (what became of each node), ``publish`` and ``iceberg`` (the other step),
``cancellation`` (SIGTERM), ``bake`` and ``lineage`` (what the image's build prepares), ``errors``.
"""
