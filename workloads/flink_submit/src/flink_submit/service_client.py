"""A client for one HTTP service: short timeouts, retries during a restart, errors that name the address."""

from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from flink_submit.errors import ServiceError

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
PATIENCE_S = 8.0  # a service of the stack answers 2 to 6 s after a restart


class ServiceClient:
    """Sends requests to one service.

    Args:
        service: The service's name, for error messages.
        address: The service's base URL.
        transport: Replaces the network in tests.
        patience_s: Seconds to repeat a request while the service does not answer.
    """

    def __init__(
        self,
        service: str,
        address: str,
        *,
        transport: httpx.BaseTransport | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.service = service
        self.address = address
        self._patience_s = patience_s
        timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._client = httpx.Client(base_url=address, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        """Return the client; the first request opens the connection."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client.close()

    def request(self, method: str, path: str, *, patience_s: float | None = None, **content: Any) -> httpx.Response:
        """Send a request, and repeat it while that is safe and the service does not answer.

        Args:
            method: The HTTP method.
            path: The path below the base URL.
            patience_s: Seconds to repeat the request; the client's by default.
            **content: Passed to ``httpx.Client.request``.

        Returns:
            The response, whatever its status.

        Raises:
            ServiceError: The service did not answer.
        """
        retrying = Retrying(
            retry=retry_if_exception(lambda error: _may_repeat(method, error)),
            stop=stop_after_delay(self._patience_s if patience_s is None else patience_s),
            wait=wait_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        )
        try:
            return retrying(self._client.request, method, path, **content)
        except httpx.TransportError as error:
            raise ServiceError(
                f"{self.service} at {self.address} does not answer ({type(error).__name__}: {error}). Check that its "
                "container runs and is healthy (docker compose ps), then materialize this partition again."
            ) from error

    def unexpected(self, response: httpx.Response, reason: str) -> ServiceError:
        """Return the error for an answer that the step cannot use."""
        request = response.request
        return ServiceError(
            f"{self.service} at {self.address} answered {request.method} {request.url.path} with "
            f"{response.status_code}: {reason}. See that service's log, then materialize this partition again."
        )


def error_text(answer: httpx.Response) -> str:
    """Return the messages and stack traces of an error answer from Flink; the bare body if it is not from Flink."""
    try:
        errors = answer.json()["errors"]
    except (ValueError, KeyError, TypeError):  # not from Flink, but from something in between, such as a proxy
        return answer.text
    return "\n".join(str(error) for error in errors).replace("<Exception on server side:", "").strip()


def _may_repeat(method: str, error: BaseException) -> bool:
    """Return whether a request may be repeated: it never reached the service, or it changes nothing."""
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return never_sent or (method == "GET" and isinstance(error, httpx.TransportError))
