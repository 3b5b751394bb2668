"""One HTTP service: short timeouts, patience over a restart, errors that name the address."""

from types import TracebackType
from typing import Any, Self

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from flink_submit.errors import ServiceError

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 10.0
PATIENCE_S = 8.0  # a service of the stack is back within 2 to 6 s of a restart


class ServiceClient:
    """Requests to one service.

    Args:
        service: What the service is, as a person calls it.
        address: Its base URL.
        transport: Replaces the network in tests.
        patience_s: How long a request is repeated while the service does not answer, in seconds.
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
        """Does nothing: the connection is made with the first request."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        self._client.close()

    def request(self, method: str, path: str, *, patience_s: float | None = None, **content: Any) -> httpx.Response:
        """Sends a request, again and again while that can do no harm and the service does not answer.

        Returns:
            The response, whatever its status.

        Raises:
            ServiceError: No answer came.
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
        """Makes the error for an answer that the step cannot use."""
        request = response.request
        return ServiceError(
            f"{self.service} at {self.address} answered {request.method} {request.url.path} with "
            f"{response.status_code}: {reason}. Look at that service's log, then materialize this partition again."
        )


def error_text(answer: httpx.Response) -> str:
    """Returns what one of Flink's services says went wrong: messages and stack traces, or the bare body."""
    try:
        errors = answer.json()["errors"]
    except (ValueError, KeyError, TypeError):  # not Flink, but something in between, such as a proxy
        return answer.text
    return "\n".join(str(error) for error in errors).replace("<Exception on server side:", "").strip()


def _may_repeat(method: str, error: BaseException) -> bool:
    """A request that never reached the service can be sent again, and so can one that changes nothing."""
    never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return never_sent or (method == "GET" and isinstance(error, httpx.TransportError))
