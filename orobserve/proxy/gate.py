"""Who may call, and with whose key: the caller's own, which passes through, or the proxy's."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from orobserve.proxy.failures import RefusedError

if TYPE_CHECKING:
    from orobserve.proxy.headers import Headers
    from orobserve.proxy.settings import ProxySettings

_CREDENTIALS = (b"authorization", b"x-api-key")
_BEARER = b"bearer "
_LOCAL = (b"localhost", b"127.", b"[::1]")


class Gate:
    """Checks callers, and puts the proxy's own key in the place of their tokens where it has one."""

    def __init__(self, settings: ProxySettings) -> None:
        """Take the key and the tokens."""
        self._key = settings.key.encode() if settings.key else None
        self._tokens = tuple(token.encode() for token in settings.allowed)

    def check(self, headers: Headers) -> None:
        """Refuse who may not call.

        Raises:
            RefusedError: no valid token; or a web page that would call with our key.
        """
        given = [(name.lower(), value) for name, value in headers]
        for credential in _CREDENTIALS:
            if sum(name == credential for name, _ in given) > 1:
                raise RefusedError(400, "bad_request", f"there is more than one {credential.decode()} header")
        if self._tokens:
            found = [_token(value) for name, value in given if name in _CREDENTIALS]
            if not any([hmac.compare_digest(token, known) for token in found for known in self._tokens]):  # noqa: C419 - all of them, in constant time
                raise RefusedError(401, "unauthorized", "the proxy does not know this token")
        elif self._key is not None:
            _refuse_web_pages(given)

    def admit(self, headers: Headers) -> Headers:
        """Check a call; returns its headers with the key it is to be made with."""
        self.check(headers)
        if self._key is None:
            return headers
        kept, seen = [], False
        for name, value in headers:
            lower = name.lower()
            if lower in _CREDENTIALS:
                if not seen:
                    kept.append((name, self._key if lower == b"x-api-key" else b"Bearer " + self._key))
                seen = True
            else:
                kept.append((name, value))
        return kept if seen else [*kept, (b"Authorization", b"Bearer " + self._key)]


def _token(value: bytes) -> bytes:
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else value.strip()


def _refuse_web_pages(headers: Headers) -> None:
    """Refuse what only a browser sends: any page could call on the loopback interface, and our key would pay."""
    for name, value in headers:
        if name == b"origin" or (name == b"host" and not value.lower().startswith(_LOCAL)):
            raise RefusedError(403, "web_page", "web pages may not call with the proxy's own key")
