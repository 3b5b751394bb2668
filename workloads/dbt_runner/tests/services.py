"""A fake catalog and object store: the few HTTP answers that dbt_runner needs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TABLE = "/v1/namespaces/silver/tables/cleaned_trips"
CONFIG = "/v1/config"
STORE = "/"


class Services(ThreadingHTTPServer):
    """One server that acts as both.

    Attributes:
        answers: Status and body by path; tests may change them.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, object]] = {
            CONFIG: (200, {"defaults": {}, "overrides": {}}),
            TABLE: (200, {"metadata": {"current-snapshot-id": 42}}),
            STORE: (403, "AccessDenied"),
        }

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Services

    def do_GET(self) -> None:
        """Send the answer that the test chose."""
        status, body = self.server.answers[self.path.partition("?")[0]]
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the base class
        """Keep the test's output clean."""


@contextmanager
def running_services() -> Iterator[Services]:
    """Serve until the block ends."""
    server = Services()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
