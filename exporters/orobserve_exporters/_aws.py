"""Amazon Web Services: the settings that its destinations share, and what an error means in words that name a setting.

A client's own text is never passed on: it may quote a key, or what was sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field, Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDENTIALS = (
    Field(
        name="access_key_id",
        help="access key; without one, the credentials of this machine are used",
        env=("AWS_ACCESS_KEY_ID",),
    ),
    Field(name="secret_access_key", help="its secret", secret=True, env=("AWS_SECRET_ACCESS_KEY",)),
    Field(name="session_token", help="its token, if it is temporary", secret=True, env=("AWS_SESSION_TOKEN",)),
    Field(name="region", help="region, such as eu-central-1", env=("AWS_REGION", "AWS_DEFAULT_REGION")),
)
CONNECT_TIMEOUT, TIMEOUT = 5, 30  # seconds
_PLAIN = re.compile(r"[!-~]+")
_ADDRESS = re.compile(r"https?://[^/]")
_PASSING_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_PASSING = frozenset({"RequestTimeout", "SlowDown", "ThrottlingException", "LimitExceededException"})
_REGION = "it is in another region: set region"
_TOKEN = "the temporary credentials are refused or have expired: check session_token (AWS_SESSION_TOKEN)"
_HINTS = {
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _TOKEN,
    "ExpiredTokenException": _TOKEN,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": "the access key is not known: check access_key_id",
    "InvalidClientTokenId": "the access key is not known: check access_key_id",
    "InvalidSignatureException": "the signature is refused: check secret_access_key, and the clock of this machine",
    "InvalidToken": _TOKEN,
    "NoCredentials": "there are no credentials: set access_key_id and secret_access_key, or give this machine a role",
    "PermanentRedirect": _REGION,
    "RequestExpired": "the clock of this machine is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "SignatureDoesNotMatch": "the signature is refused: check secret_access_key",
    "UnrecognizedClientException": "the access key is not known: check access_key_id and session_token",
}
_CODES = {301: "PermanentRedirect", 401: "AccessDenied", 403: "AccessDenied", 404: "NotFound"}
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_ABSENT = frozenset({"NoSuchBucket", "NotFound", "ResourceNotFoundException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that failed: the service's error code, or the kind of error where there was no answer."""

    code: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What a destination says of its own place: when it is denied, and when it is not there."""

    denied: str
    absent: str


def check_access(config: Mapping[str, Any]) -> None:
    """Look at the settings of `CREDENTIALS`, and at `endpoint`: clients say of them only later what is wrong, or crash.

    Raises:
        ValueError: they cannot be used.
    """
    if bool(config.get("access_key_id")) != bool(config.get("secret_access_key")):
        raise ValueError("set both access_key_id and secret_access_key, or neither to use this machine's credentials")
    for field in CREDENTIALS:
        if not _PLAIN.fullmatch(config.get(field.name) or "-"):
            raise ValueError(f"{field.name} has blanks or other characters that it cannot have")
    endpoint = config.get("endpoint")
    if endpoint and not (_PLAIN.fullmatch(endpoint) and _ADDRESS.match(endpoint)):
        raise ValueError("endpoint must be a full address, such as https://minio.example.com:9000")


def judge(failure: Failure, advice: Advice) -> Result:
    """Return what a failure means."""
    code = failure.code or _CODES.get(failure.status or 0, "")
    passing = failure.status is None or failure.status in _PASSING_STATUS or code in _PASSING
    hint = _HINTS.get(code)
    if code in _DENIED:
        hint = advice.denied
    elif code in _ABSENT:
        hint = advice.absent
    said = [failure.code or "", f"HTTP {failure.status}" if failure.status else "no answer"]
    if code == "NoCredentials":
        said = []
    facts = ", ".join(filter(None, said))
    reason = f"{hint} ({facts})" if hint and facts else hint or facts
    return Result(verdict=Verdict.RETRY if passing else Verdict.REJECTED, reason=reason)


def boto3_client(service: str, config: Mapping[str, Any], install: str) -> Any:  # noqa: ANN401 - boto3 has no types
    """Return a client of boto3 that makes one attempt and does not wait: patience is delivery's.

    Raises:
        ValueError: boto3 is missing, or there is no region.
    """
    try:
        session, botocore = import_module("boto3.session"), import_module("botocore.config")
    except ImportError as error:
        raise ValueError(f"the {service} destination needs {install}") from error
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": TIMEOUT,
        "retries": {"total_max_attempts": 1},
        "request_checksum_calculation": "when_required",  # of new versions; some compatible stores refuse checksums
    }
    known = {name: value for name, value in options.items() if name in botocore.Config.OPTION_DEFAULTS}
    made = session.Session(
        aws_access_key_id=config.get("access_key_id"),
        aws_secret_access_key=config.get("secret_access_key"),
        aws_session_token=config.get("session_token"),
        region_name=config.get("region"),
    )
    try:
        return made.client(service, endpoint_url=config.get("endpoint"), config=botocore.Config(**known))
    except import_module("botocore.exceptions").NoRegionError:
        raise ValueError("set region (or AWS_REGION)") from None


def boto3_errors() -> tuple[type[Exception], ...]:
    """Return what calls of boto3 raise."""
    errors = import_module("botocore.exceptions")
    return (errors.BotoCoreError, errors.ClientError)


def boto3_failure(error: Exception) -> Failure:
    """Return what a call of boto3 failed with."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = str(response.get("Error", {}).get("Code", ""))
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return Failure(code=None if code.isdigit() else code or None, status=status)
    kind = type(error).__name__
    codes = {"NoCredentialsError": "NoCredentials", "PartialCredentialsError": "NoCredentials"}
    return Failure(code=codes.get(kind, kind), status=400 if kind == "ParamValidationError" else None)
