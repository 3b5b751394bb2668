from collections.abc import Callable

import httpx
import pytest

from flink_submit.errors import ServiceError
from flink_submit.preflight import check_all
from flink_submit.service_client import ServiceClient

Answer = Callable[[httpx.Request], httpx.Response]


def service(name: str, answer: Answer) -> ServiceClient:
    """Return a client of a service with this answer."""
    return ServiceClient(name, f"http://{name}.test", transport=httpx.MockTransport(answer))


def failing_first(times: int, error: type[httpx.TransportError]) -> Answer:
    """Return an answer that comes after some failures."""
    failures = iter(range(times))

    def answer(request: httpx.Request) -> httpx.Response:
        if next(failures, None) is not None:
            raise error("not now", request=request)
        return httpx.Response(200, text="here")

    return answer


def refuse(request: httpx.Request) -> httpx.Response:
    """Refuse the connection."""
    raise httpx.ConnectError("Connection refused", request=request)


@pytest.mark.parametrize(
    ("method", "error"), [("GET", httpx.ReadError), ("GET", httpx.ConnectError), ("POST", httpx.ConnectError)]
)
def test_repeats_what_can_do_no_harm(method: str, error: type[httpx.TransportError]) -> None:
    """A service does not answer for some seconds while its container restarts."""
    assert service("catalog", failing_first(2, error)).request(method, "/").text == "here"


def test_does_not_repeat_a_change_that_may_have_been_made() -> None:
    """A statement that was sent but not answered may have submitted a job."""
    with pytest.raises(ServiceError, match="ReadError"):
        service("gateway", failing_first(1, httpx.ReadError)).request("POST", "/")


def test_preflight_names_every_service_that_is_down() -> None:
    """If only the first were named, each service would cost a failed run."""
    up = service("jobmanager", lambda _request: httpx.Response(200))
    with pytest.raises(ServiceError) as caught:
        check_all(
            [(up, "/"), (service("catalog", refuse), "/v1/config"), (service("minio", refuse), "/")], patience_s=0
        )
    assert "http://catalog.test does not answer" in str(caught.value)
    assert "http://minio.test does not answer" in str(caught.value)
    assert "jobmanager" not in str(caught.value)


def test_preflight_takes_a_refusal_for_a_sign_of_life_and_a_server_error_for_none() -> None:
    """An object store answers 403 to a request without credentials."""
    check_all([(service("minio", lambda _request: httpx.Response(403)), "/")])
    with pytest.raises(ServiceError, match=r"answered GET / with 503: starting"):
        check_all([(service("minio", lambda _request: httpx.Response(503, text="starting")), "/")])
