"""Dagster's Postgres storage with connections that are kept.

Outside its webserver Dagster opens a connection for each query, three of them for each event. With
SCRAM passwords one takes some 10 ms of two processes' time, so that the 150 checks of a dbt step cost
minutes on a busy machine of two cores. *Source*: dagster-postgres 0.29, ``NullPool`` in each storage.

The webserver keeps connections by itself, but answers with HTTP 500 for each that a restarted Postgres has closed:
it gets tested ones too. ``_engine`` is private to Dagster, and no public way leads there.
"""

from functools import partial
from typing import Any

from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
    set_pg_statement_timeout,
)
from sqlalchemy import event

# Of each storage: a step's results and the messages of its workload are written by two threads, and a query may need a
# second connection. Threads that need more at the same moment open them for that moment.
_KEPT_CONNECTIONS = 3
_MORE_CONNECTIONS = 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """Keeps connections for runs, events and schedules, and tests one before each use."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            self._keep_connections(storage, max_overflow=_MORE_CONNECTIONS)
            storage.optimize_for_webserver = partial(self._optimize_for_webserver, storage)  # type: ignore[method-assign]

    def _optimize_for_webserver(
        self, storage: Any, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        self._keep_connections(storage, max_overflow=max_overflow, pool_recycle=pool_recycle)
        event.listen(
            storage._engine,  # noqa: SLF001  # see the module's docstring
            "connect",
            lambda connection, _: set_pg_statement_timeout(connection, statement_timeout),
        )

    def _keep_connections(self, storage: Any, **pool: int) -> None:
        storage._engine = create_pg_engine(  # noqa: SLF001  # see the module's docstring
            self.postgres_url,
            storage._token_provider,  # noqa: SLF001  # as above
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT_CONNECTIONS,
            pool_pre_ping=True,
            **pool,
        )

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "PooledPostgresStorage":
        """Make the storage from dagster.yaml, whose settings are those of Dagster's own Postgres storage."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )
