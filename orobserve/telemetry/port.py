"""A port where Prometheus fetches metrics: a few connections at a time, each for a short time, and silent."""

from __future__ import annotations

import logging
import os
import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_log = logging.getLogger("orobserve")
_MOST = 20  # connections, of which each has a thread
_PATIENCE = 10.0  # seconds for a client to say what it wants, and to take it


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, *_: object) -> None:
        """Say nothing: the application's standard error is not ours."""


class Server(ThreadingMixIn, WSGIServer):
    """Answers until it is closed."""

    daemon_threads = True
    allow_reuse_address = os.name != "nt"  # where it would let two processes have one port
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        """Listen.

        Args:
            address: host and port.
            registry: what is told.

        Raises:
            OSError: that is not possible.
        """
        self._room = threading.Semaphore(_MOST)
        family, _, _, _, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__(found, _Handler)  # type: ignore[arg-type] # of IPv6 it is longer
        self.set_app(make_wsgi_app(registry))
        try:
            threading.Thread(target=self.serve_forever, name="orobserve-prometheus", daemon=True).start()
        except RuntimeError:  # no further thread
            self.server_close()
            raise

    def server_bind(self) -> None:
        """Bind, and ask no name server what this host is called: that may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's
        """Answer on a thread of its own, if there are not too many."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Note that a client has gone, or has said nothing."""
        _log.debug("a client of the port for Prometheus is gone", exc_info=True)
