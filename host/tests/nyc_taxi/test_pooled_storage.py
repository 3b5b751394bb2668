from typing import Any

import pytest
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import URL, QueuePool

from nyc_taxi.pooled_storage import PooledPostgresStorage

SETTINGS = {
    "postgres_db": {
        "scheme": "postgresql+psycopg2",
        "hostname": "postgres",
        "port": 5432,
        "db_name": "dagster",
        "username": "dagster",
        "password": "p/w",
        "params": {},
    },
    "should_autocreate_tables": False,
}


@pytest.fixture
def storage() -> Any:
    return PooledPostgresStorage.from_config_value(None, SETTINGS)


def test_each_of_dagsters_storages_keeps_a_connection_and_tests_it(storage: Any) -> None:
    """Dagster's own storages keep none. This test also fails if Dagster moves its engine."""
    assert_tested_connections(storage)


def test_the_webservers_connections_are_tested_too(storage: Any) -> None:
    """Otherwise each connection that a restarting Postgres closed costs a page in the UI."""
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        part.optimize_for_webserver(statement_timeout=15000, pool_recycle=3600, max_overflow=7)
        assert part._engine.pool._recycle == 3600  # noqa: SLF001  # what is tested
    assert_tested_connections(storage)


def assert_tested_connections(storage: Any) -> None:
    for part in (storage.run_storage, storage.event_log_storage, storage.schedule_storage):
        pool = part._engine.pool  # noqa: SLF001  # what is tested
        assert isinstance(pool, QueuePool)
        assert pool._pre_ping  # noqa: SLF001  # as above


def test_the_address_is_the_one_that_is_configured(storage: Any) -> None:
    url: URL = storage.event_log_storage._engine.url  # noqa: SLF001  # as above
    assert (url.drivername, url.host, url.password) == ("postgresql+psycopg2", "postgres", "p/w")


def test_its_settings_are_those_of_dagsters_own() -> None:
    assert set(PooledPostgresStorage.config_type()) == set(DagsterPostgresStorage.config_type())
