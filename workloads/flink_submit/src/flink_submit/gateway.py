"""Flink's SQL Gateway: one session that executes statements one after the other.

*Source*: Flink 2.1, SQL Gateway REST endpoint, v1.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from flink_submit.errors import DuplicateJobError, ServiceError, ServiceTimeoutError, StatementError
from flink_submit.root_cause import find_root_cause
from flink_submit.service_client import ServiceClient, error_text

STATEMENT_DEADLINE_S = 120.0
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.2
_DUPLICATE_MARKS = ("DuplicateJobSubmissionException", "Job has already been submitted")


@dataclass(frozen=True)
class StatementResult:
    """The result of one statement.

    Args:
        job_id: The Flink job that the statement submitted; None for DDL and SET.
        rows: The returned rows, each a list of values.
    """

    job_id: str | None
    rows: list[list[Any]]


class SqlGateway:
    """A session of the SQL Gateway; closed, with everything that runs in it, at the end of the ``with`` block.

    Args:
        client: The SQL Gateway's client.
    """

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        self._session = ""

    def __enter__(self) -> Self:
        """Open the session."""
        answer = self._client.request("POST", "/v1/sessions", json={"properties": {}})
        if answer.is_error:
            raise self._client.unexpected(answer, find_root_cause(error_text(answer)))
        self._session = answer.json()["sessionHandle"]
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the session."""
        # A failure here must not hide the error that ended the block; the gateway itself closes an idle session.
        with suppress(ServiceError):
            self._client.request("DELETE", f"/v1/sessions/{self._session}", patience_s=0)

    def execute_all(self, statements: Iterable[str]) -> StatementResult:
        """Execute statements in order.

        Args:
            statements: The statements.

        Returns:
            The result of the last statement.

        Raises:
            StatementError: Flink refuses a statement.
        """
        result = StatementResult(None, [])
        for statement in statements:
            result = self.execute(statement)
        return result

    def execute(self, statement: str) -> StatementResult:
        """Execute one statement and wait for its result; for an INSERT, until the job is submitted.

        Args:
            statement: The statement, without a semicolon.

        Returns:
            The result.

        Raises:
            DuplicateJobError: The JobManager already knows a job of this id.
            StatementError: Flink refuses the statement; the message has the root cause.
            ServiceTimeoutError: There is no result within ``STATEMENT_DEADLINE_S``.
        """
        base = f"/v1/sessions/{self._session}"
        answer = self._client.request("POST", f"{base}/statements", json={"statement": statement})
        if answer.is_error:
            raise _statement_error(statement, error_text(answer))
        results = f"{base}/operations/{answer.json()['operationHandle']}/result"
        job_id: str | None = None
        rows: list[list[Any]] = []
        token = 0
        while True:
            page = self._wait_for_page(statement, f"{results}/{token}")
            job_id = page.get("jobID") or job_id
            rows += [row["fields"] for row in page["results"]["data"]]
            if page["resultType"] == "EOS" or not page.get("nextResultUri"):
                return StatementResult(job_id, rows)
            token += 1

    def _wait_for_page(self, statement: str, path: str) -> dict[str, Any]:
        started = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while time.monotonic() - started < STATEMENT_DEADLINE_S:
            answer = self._client.request("GET", path, params={"rowFormat": "JSON"})
            if answer.is_error:
                raise _statement_error(statement, error_text(answer))
            page: dict[str, Any] = answer.json()
            if page["resultType"] != "NOT_READY":
                return page
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        raise ServiceTimeoutError(
            f"{self._client.service} at {self._client.address} had no result within {STATEMENT_DEADLINE_S:.0f} s for: "
            f"{_excerpt(statement)}. Look at its log and at the JobManager's, then materialize this partition again."
        )


def _statement_error(statement: str, text: str) -> StatementError:
    kind = DuplicateJobError if any(mark in text for mark in _DUPLICATE_MARKS) else StatementError
    return kind(f"Flink refused the statement {_excerpt(statement)}: {find_root_cause(text)}")


def _excerpt(statement: str, length: int = 80) -> str:
    line = " ".join(statement.split())
    return repr(line if len(line) <= length else f"{line[: length - 1]}…")
