"""ClickHouse's engine (chdb) behind a small HTTP front of ours: `python clickhouse_front.py PORT FOLDER USER PASSWORD`.

The engine, and so every statement, type, deduplication and query, is real. HTTP is not: this front understands what the
exporter sends (query and settings in the URL, user and key in headers, gzip) and answers as ClickHouse documents it:
500 or 404 with `X-ClickHouse-Exception-Code`, 403 for a wrong key. It must not know orobserve.
"""

from __future__ import annotations

import gzip
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

_CODE = re.compile(r"Code: (\d+)\.")
_MISSING = {"60", "81"}  # answered by 404


class _Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    session: Session
    user: str
    password: str
    lock = threading.Lock()

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if (self.headers.get("x-clickhouse-user"), self.headers.get("x-clickhouse-key")) != (self.user, self.password):
            self._answer(403, b"Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)\n", "516")
            return
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            found = self._run(asked, body.decode())
        except RuntimeError as error:  # chdb's only one
            text = str(error)
            code = _CODE.search(text)
            number = code[1] if code else "1002"
            self._answer(404 if number in _MISSING else 500, text[text.find("Code:") :].encode(), number)
        else:
            self._answer(200, found, "")

    def _run(self, asked: dict[str, str], body: str) -> bytes:
        query = "\n".join(filter(None, (asked.pop("query", ""), body)))
        form = asked.pop("default_format", "TabSeparated")
        asked.pop("wait_end_of_query", None)
        given: Any = {name.removeprefix("param_"): asked[name] for name in asked if name.startswith("param_")}
        settings = {name: value for name, value in asked.items() if not name.startswith("param_")}
        with self.lock:
            for name, value in settings.items():
                self.session.query(f"SET {name} = '{value}'")
            try:
                return bytes(self.session.query(query, form, params=given).bytes())
            finally:
                if settings:
                    self.session.query("SET " + ", ".join(f"{name} = DEFAULT" for name in settings))

    def _answer(self, status: int, body: bytes, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until killed."""
    port, folder, _Front.user, _Front.password = sys.argv[1:5]
    _Front.session = Session(folder)
    _Front.session.query("CREATE DATABASE IF NOT EXISTS default")
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), _Front)
    print("ready", flush=True)  # noqa: T201 - for who has started it
    server.serve_forever()


if __name__ == "__main__":
    main()
