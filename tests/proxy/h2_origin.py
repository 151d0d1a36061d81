"""An upstream that speaks HTTP/2 over TLS and does what each call's path says."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from tests.delivery.servers import CERTIFICATE

if TYPE_CHECKING:
    from typing_extensions import Self

EVENT = b'data: {"id":"gen-1","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b"data: [DONE]\n\n"


class Session:
    """One connection. Paths: /echo, /stream (ends at once), /hold (never ends), /reset, /goaway, /big, /garbage."""

    def __init__(self, origin: H2Origin, sock: ssl.SSLSocket) -> None:
        self._origin, self._sock = origin, sock
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        most = {SettingCodes.MAX_CONCURRENT_STREAMS: origin.most}
        self._h2.local_settings = Settings(client=False, initial_values=most)
        self._bodies: dict[int, bytes] = {}
        self._paths: dict[int, bytes] = {}
        self._pending: dict[int, bytes] = {}

    def run(self) -> None:
        self._h2.initiate_connection()
        self._sock.sendall(self._h2.data_to_send())
        while data := self._sock.recv(65536):
            for event in self._h2.receive_data(data):
                self._take(event)
            for number in list(self._pending):
                self._push(number)
            self._sock.sendall(self._h2.data_to_send())

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            self._origin.requests.put(headers)
            self._paths[event.stream_id] = dict(headers)[b":path"]
            self._bodies[event.stream_id] = b""
        elif isinstance(event, events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            self._answer(event.stream_id, self._paths[event.stream_id])
        elif isinstance(event, events.StreamReset):
            self._origin.resets.put(event.error_code)

    def _answer(self, number: int, path: bytes) -> None:
        if path == b"/goaway":
            self._h2.close_connection(last_stream_id=0)
            return
        if path == b"/garbage":
            self._sock.sendall(b"\0\0\1\0\0\0\0\0\0x")  # data of no call
            return
        kind = b"text/event-stream" if b"completions" in path or path == b"/hold" else b"application/octet-stream"
        self._h2.send_headers(number, [(b":status", b"200"), (b"content-type", kind), (b"x-odd", b"1")])
        if path.endswith(b"?hold"):
            self._h2.send_data(number, EVENT)
        elif path == b"/reset":
            self._h2.send_data(number, EVENT)
            self._h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)
        elif path == b"/big":
            self._pending[number] = b"x" * 8_000_000
        elif path == b"/echo":
            self._pending[number] = self._bodies[number]
        else:
            self._h2.send_data(number, EVENT + DONE, end_stream=True)

    def _push(self, number: int) -> None:
        rest = self._pending[number]
        while rest and (room := min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)) > 0:
            self._h2.send_data(number, rest[:room])
            rest = rest[room:]
        self._pending[number] = rest
        if not rest:
            del self._pending[number]
            self._h2.end_stream(number)


class H2Origin:
    """Serves one connection per thread; `most` calls at a time on each."""

    def __init__(self, most: int = 100, protocols: tuple[str, ...] = ("h2",)) -> None:
        self.most = most
        self.requests: queue.Queue[list[tuple[bytes, bytes]]] = queue.Queue()
        self.resets: queue.Queue[int] = queue.Queue()
        self.connections = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)
        self._context.set_alpn_protocols(list(protocols))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                self.connections += 1
                self._open.append(sock)
                self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ProtocolError), self._context.wrap_socket(sock, server_side=True) as secure:
            self._open.append(secure)
            if secure.selected_alpn_protocol() == "h2":
                Session(self, secure).run()
            else:
                while secure.recv(65536):
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nHTTP/1.1")
