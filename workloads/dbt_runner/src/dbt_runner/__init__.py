"""Build the taxi pipeline's marts with dbt, and publish them as Iceberg tables: two steps of a Dagster run.

Reading order: ``__main__`` (the commands) → ``build`` (the step from context to verdict) → ``request``, ``settings``
(what was asked for; addresses and paths) → ``lake``, ``silver``, ``marts`` (what dbt reads from and writes to) →
``migrations`` (a marts file of an older version) → ``content`` (a table's rows and hash) → ``project`` (the dbt project
parsed into the image) → ``invocation`` (one ``dbt build``) → ``reporter`` (dbt's events as Pipes messages) →
``outcome`` (the result of each node) → ``publish``, ``iceberg`` (the other step) → ``cancellation`` (SIGTERM) →
``prepare_image``, ``lineage`` (the image's build) → ``errors``.
"""
