import httpx
import pytest
from fake_flink import DUPLICATE_JOB, FakeFlink

from flink_submit.errors import DuplicateJobError, ServiceError, StatementError
from flink_submit.gateway import SqlGateway
from flink_submit.service_client import ServiceClient


def client(flink: FakeFlink) -> ServiceClient:
    """Return a client of the fake gateway."""
    return ServiceClient("Flink's SQL Gateway", "http://gateway.test:8083", transport=flink.transport(), patience_s=0)


def test_waits_for_each_result_and_closes_the_session(flink: FakeFlink) -> None:
    """An open session holds its jobs' class loaders for ten minutes."""
    with SqlGateway(client(flink)) as session:
        result = session.execute_all(
            ["SET 'pipeline.name' = 'a'", "SET '$internal.pipeline.job-id' = 'ab'", "INSERT x"]
        )
    assert result.rows == [["ab"]]
    assert flink.submitted == ["ab"]
    assert flink.closed_sessions == 1


def test_names_the_statement_and_the_root_cause_when_flink_refuses(flink: FakeFlink) -> None:
    """The gateway itself answers with fifty lines of Java."""
    flink.refusal = (
        "a.b.TableException: outer\n\tat a.B.c(B.java:1)\nCaused by: a.b.ValidationException: no column fare"
    )
    with SqlGateway(client(flink)) as session:
        session.execute("SET '$internal.pipeline.job-id' = 'ab'")
        with pytest.raises(StatementError, match=r"'INSERT INTO t SELECT fare': ValidationException: no column fare"):
            session.execute("INSERT INTO t\n  SELECT fare")
    assert flink.closed_sessions == 1


def test_distinguishes_a_job_submitted_twice_from_other_refusals(flink: FakeFlink) -> None:
    """Such a job is followed, not reported as an error."""
    flink.refusal = DUPLICATE_JOB
    with SqlGateway(client(flink)) as session:
        session.execute("SET '$internal.pipeline.job-id' = 'ab'")
        with pytest.raises(DuplicateJobError):
            session.execute("INSERT INTO t SELECT 1")


def test_names_the_address_when_nothing_answers() -> None:
    """The first thing to check is whether that container runs."""

    def refuse(request: httpx.Request) -> httpx.Response:
        """Refuse the connection."""
        raise httpx.ConnectError("Connection refused", request=request)

    unreachable = ServiceClient(
        "Flink's SQL Gateway", "http://gateway.test:8083", transport=httpx.MockTransport(refuse), patience_s=0
    )
    with (
        pytest.raises(
            ServiceError, match=r"SQL Gateway at http://gateway\.test:8083 does not answer \(ConnectError: .*compose ps"
        ),
        SqlGateway(unreachable),
    ):
        pass


def test_keeps_the_error_that_ended_the_session_when_the_gateway_died_too(flink: FakeFlink) -> None:
    """The second error would hide the first."""
    session = SqlGateway(client(flink))

    def fail() -> None:
        with session:
            flink.before_answer = _die
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def _die(request: httpx.Request) -> None:
    raise httpx.ConnectError("gone", request=request)


def test_shows_what_a_proxy_said_in_the_place_of_the_gateway() -> None:
    """Not every answer comes from Flink or is JSON."""
    proxy = httpx.MockTransport(lambda _request: httpx.Response(502, text="<h1>Bad Gateway</h1>"))
    service = ServiceClient("Flink's SQL Gateway", "http://gateway.test", transport=proxy, patience_s=0)
    with (
        pytest.raises(ServiceError, match=r"answered POST /v1/sessions with 502: <h1>Bad Gateway"),
        SqlGateway(service),
    ):
        pass
