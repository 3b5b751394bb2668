"""Which of docker-py's errors are the engine's silence, which its refusal, and which the caller's mistake."""

from collections.abc import Callable

import docker.errors
import pytest
import requests
from docker.credentials.errors import InitializationError

from drayage.docker.errors import engine_errors
from drayage.errors import DrayageError, EngineError, EngineUnavailableError, SettingsError

WRONG_TYPE = "json: cannot unmarshal number into Go struct field ContainerConfigWrapper.Hostname of type string"
NO_DRIVER = "failed to initialize logging driver: journald is not enabled on this host"


def answer(status: int, explanation: str = "it does not like it") -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("refused", response, explanation)


def led_from(first: Exception, last: Exception) -> Exception:
    last.__context__ = first
    return last


@pytest.mark.parametrize(
    ("error", "given", "becomes", "says"),
    [
        (requests.ConnectionError("refused"), "image", EngineUnavailableError, "does not answer"),
        (PermissionError(13, "denied"), None, EngineUnavailableError, "does not answer"),
        (
            led_from(
                requests.ConnectionError(), docker.errors.DockerException("Error while fetching server API version")
            ),
            None,
            EngineUnavailableError,
            "does not answer",
        ),
        (
            led_from(
                InitializationError("docker-credential-x not installed"), docker.errors.DockerException("store error")
            ),
            "image",
            SettingsError,
            "`credsStore`",
        ),
        (docker.errors.InvalidConfigFile("not JSON"), None, SettingsError, "config.json"),
        (docker.errors.DockerException("Invalid bind address protocol: x"), None, SettingsError, "DOCKER_HOST"),
        (docker.errors.TLSParameterError("no certificate"), None, SettingsError, "DOCKER_CERT_PATH"),
        (docker.errors.NullResource("Resource ID was not provided"), "image", SettingsError, "with the image of this"),
        (docker.errors.DockerException("(12q) should specify the units"), "options", SettingsError, "(12q)"),
        (TypeError("unexpected keyword"), "options", SettingsError, "TypeError: unexpected keyword"),
        (answer(400), "options", SettingsError, "it does not like it"),
        (answer(400), None, EngineError, "it does not like it"),
        (answer(500), "options", EngineError, "it does not like it"),
        (
            answer(500, WRONG_TYPE),
            "options",
            SettingsError,
            "with the options of this step: json",
        ),
        (answer(500, WRONG_TYPE), None, EngineError, "refused to"),
        (answer(500, NO_DRIVER), None, SettingsError, "with the log_config of this step"),
        (docker.errors.InvalidVersion("too old"), None, EngineError, "InvalidVersion: too old"),
    ],
)
def test_an_error_is_named_for_what_it_is(
    error: Exception, given: str | None, becomes: type[DrayageError], says: str
) -> None:
    with pytest.raises(DrayageError) as caught, engine_errors("do it", given=given):
        raise error
    assert type(caught.value) is becomes
    assert says in str(caught.value)


def test_an_error_of_ours_is_no_mistake_of_the_callers() -> None:
    broken: Callable[[], object] = lambda: {}["x"]  # noqa: E731 - it raises
    with pytest.raises(KeyError), engine_errors("do it"):
        broken()
