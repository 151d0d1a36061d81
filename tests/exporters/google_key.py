"""A throw-away key of a service account, made for these tests and known to nobody."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import Any

EMAIL = "tests@my-gcp-project.iam.gserviceaccount.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"


def google_key(**changes: object) -> str:
    """Return the JSON of a key file; one without the key itself where the packages are missing that could use it."""
    found = {
        "type": "service_account",
        "project_id": "my-gcp-project",
        "private_key": _private_key() if importlib.util.find_spec("cryptography") else "",
        "client_email": EMAIL,
        "token_uri": TOKEN_URI,
    }
    return json.dumps({**found, **changes})


def public_key() -> bytes:
    """Return what proves that something was signed with it."""
    from cryptography.hazmat.primitives import serialization

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    found: bytes = _pair().public_key().public_bytes(serialization.Encoding.PEM, form)
    return found


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    found: str = _pair().private_bytes(serialization.Encoding.PEM, *form).decode()
    return found


@cache
def _pair() -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
