"""Dagster's Postgres storage with a pool of connections.

Outside its webserver Dagster opens a connection for each query, which makes three for each event. With SCRAM passwords
a connection takes some 10 ms of two processes' time; on a busy machine with two cores the 150 checks of a dbt step then
cost minutes. *Source*: dagster-postgres 0.29, ``NullPool`` in each storage.

The webserver keeps connections, but answers with HTTP 500 for each one that a restarted Postgres has closed; here it
gets connections that are tested before use. ``_engine`` is private to Dagster, which has no public way to replace it.
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

# For each storage: two threads write, one a step's results and one its workload's messages, and a query may need a
# second connection. Threads that need more at the same time open more, and close them afterwards.
_KEPT_CONNECTIONS = 3
_MORE_CONNECTIONS = 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """Keeps connections for runs, events and schedules, and tests each one before it is used."""

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
        """Create the storage from dagster.yaml, with the settings of Dagster's own Postgres storage.

        Args:
            inst_data: Dagster's description of the configured class.
            config_value: The settings.

        Returns:
            The storage.
        """
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
        )
