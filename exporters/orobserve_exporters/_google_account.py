"""A Google service account, and the signed statement that its token is asked for with. Knows no requests.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_HOUR = 3600
_TOKEN_URI = "https://oauth2.googleapis.com/token"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """What a key file says."""

    email: str
    project: str | None
    token_uri: str
    signer: Any

    def assertion(self, scope: str, now: int) -> str:
        """Return the statement, signed; `now` in seconds since the epoch."""
        said = {"iss": self.email, "scope": scope, "aud": self.token_uri, "iat": now, "exp": now + _HOUR}
        signed: bytes = import_module("google.auth.jwt").encode(self.signer, said)
        return signed.decode("ascii")


def service_account(given: str, setting: str, install: str) -> ServiceAccount:
    """Return the account of a key: its JSON, or the path of a file that holds it.

    Args:
        given: the key.
        setting: what its setting is called.
        install: the command that installs google-auth.

    Raises:
        ValueError: google-auth is missing, or it is no such key.
    """
    try:
        signers = import_module("google.auth.crypt")
    except ImportError as error:
        raise ValueError(f"the key needs google-auth: {install}") from error
    found = _read(given, setting)
    kind = found.get("type", "service_account")
    if kind != "service_account":
        raise ValueError(f"{setting} must be the key of a service account; this one is of the type {kind!r}")
    lacking = [name for name in ("client_email", "private_key") if not isinstance(found.get(name), str)]
    if lacking:
        raise ValueError(f"{setting} lacks {' and '.join(lacking)}: give the whole JSON of a service-account key")
    try:
        signer = signers.RSASigner.from_service_account_info(found)
    except ValueError:
        raise ValueError(f"{setting}: its private_key cannot be read") from None  # the cause may quote it
    return ServiceAccount(
        email=found["client_email"],
        project=found.get("project_id"),
        token_uri=found.get("token_uri") or _TOKEN_URI,
        signer=signer,
    )


def _read(given: str, setting: str) -> dict[str, Any]:
    given = given.strip()
    with suppress(OSError, ValueError):
        text = given if given.startswith("{") else Path(given).expanduser().read_text("utf-8")
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise ValueError(f"{setting} must be the JSON of a service-account key, or the path of a file that holds it")
