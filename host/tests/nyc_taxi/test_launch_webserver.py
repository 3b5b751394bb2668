import httpx
import pytest

from nyc_taxi.launch.errors import RequestRefusedError, WebserverUnreachableError
from nyc_taxi.launch.webserver import Webserver, innermost

URL = "http://127.0.0.1:3000"


def webserver(response: httpx.Response | Exception) -> Webserver:
    def answer(_request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return response

    return Webserver(URL, httpx.Client(transport=httpx.MockTransport(answer)))


def test_a_webserver_that_does_not_answer_is_reported_with_what_to_do() -> None:
    with pytest.raises(WebserverUnreachableError, match=rf"No Dagster webserver answers at {URL} .*make up.*--url"):
        webserver(httpx.ConnectError("Connection refused")).find_job("taxi_pipeline")


def test_something_else_at_the_address_is_recognised() -> None:
    with pytest.raises(WebserverUnreachableError, match=r"HTTP 404\) is not a Dagster webserver"):
        webserver(httpx.Response(404, text="<html>")).find_job("taxi_pipeline")


def test_an_error_of_graphql_is_passed_on() -> None:
    errors = {"errors": [{"message": "Cannot query field 'x'"}]}
    with pytest.raises(RequestRefusedError, match="Cannot query field 'x'"):
        webserver(httpx.Response(200, json=errors)).find_job("taxi_pipeline")


def test_a_run_that_no_longer_exists_is_reported() -> None:
    answer = {"data": {"runOrError": {"__typename": "RunNotFoundError", "message": "Run 7 could not be found."}}}
    with pytest.raises(RequestRefusedError, match=r"RunNotFoundError instead of Run: Run 7 could not be found"):
        webserver(httpx.Response(200, json=answer)).read_run("7")


@pytest.mark.parametrize(
    ("message", "name", "expected"),
    [
        ("pkg.errors.EngineError: The engine is down.\n", "EngineError", "The engine is down."),
        ("Two\n  lines", "EngineError", "Two lines"),
        ("taken: as it is", "EngineError", "taken: as it is"),
    ],
)
def test_the_text_of_an_error_leaves_out_the_name_of_the_exception(message: str, name: str, expected: str) -> None:
    assert innermost({"message": message, "className": name, "causes": []}) == expected
