"""What a destination's module provides. It says what its payload looks like; everything else is done for it.

A module is one class, named by an entry point of the group `orobserve.exporters`. It must know nothing of queues,
retries, sampling, filters or privacy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from orobserve.generation import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a destination's `config`. `base_url` is accepted as `baseUrl`, which is how Broadcast spells it.

    `env` names the product's usual environment variables, the first that is set wins; a required field that is neither
    given nor found there is a configuration error that names them.
    """

    name: str
    help: str
    default: Any = None
    required: bool = False
    secret: bool = False
    env: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    kind: type = str  # or int, float, bool, dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one request may hold. A batch that is larger is split before it is sent."""

    items: int = 100  # generations
    bytes: int = 4_000_000  # of the body before it is compressed
    linger: float = 1.0  # seconds that the first generation of a batch waits for others
    timeout: float = 10.0  # seconds for each step of an attempt, and for reading the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequest:
    """A request to be sent. `compress` lets the sender gzip the body."""

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    compress: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPResponse:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Verdict(Enum):
    """What became of a batch."""

    DELIVERED = "delivered"
    RETRY = "retry"  # the same batch may be accepted later
    TOO_LARGE = "too_large"  # each half may be accepted
    REJECTED = "rejected"  # it never will be


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a batch, and why. `retry_after` in seconds; `rejected` counts items of a batch taken in part."""

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A request of a conversation, and what its answer means: `DELIVERED`: go on; `RETRY`: ask the same again."""

    request: HTTPRequest
    judge: Callable[[HTTPResponse], Result]


# Each step is taken until its answer is to go on, and that answer is sent back. What is returned counts as the last
# result; None is delivered. A conversation that is not gone on with is closed.
Conversation: TypeAlias = "Generator[Step, HTTPResponse, Result | None]"


class Exporter:
    """What every destination has. Made once from its checked `config`; used by one thread at a time.

    What it does not know before it is made (`LIMITS`, `UPDATES`) it may say of itself in `__init__`.
    """

    TYPE: ClassVar[str]  # its name in settings, and of its entry point
    TITLE: ClassVar[str]  # the product's name
    FIELDS: ClassVar[tuple[Field, ...]] = ()
    LIMITS: Limits = Limits()
    UPDATES: bool = False  # the product replaces a record that is sent again with the same ids
    PRIVATE: ClassVar[bool] = False  # content is left out unless the settings say `privacy_mode = false`

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings: every field of `FIELDS` is there, and `headers`, a mapping, where it was given.

        Raises:
            ValueError: they cannot be used together; the text says what to change.
        """
        self.config = config

    @classmethod
    def ddl(cls, config: Mapping[str, Any]) -> str | None:
        """Return the statement that makes the table this destination writes to, if it writes to one.

        Args:
            config: every field of `FIELDS`; None where it is not known.
        """
        del config
        return None

    def is_served_by(self, provider: object) -> bool:
        """Tell whether a tracer provider of the application delivers our spans to the same place already."""
        del provider
        return False


class HTTPExporter(Exporter):
    """A destination that takes HTTP requests. `encode` and `probe` are pure.

    Where one question leads to another (a token, the columns of a table, rows that are to be sent again), `deliver` and
    `examine` are overridden instead: generators that yield requests and get answers. They know nothing of sockets,
    waiting or repetition either.
    """

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest | Sequence[HTTPRequest]:
        """Return the request that delivers a batch (never empty), or several that are sent in this order.

        The batch is delivered when all of them are. When one fails, all of them may be sent again.
        """
        raise NotImplementedError

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        """Talk until a batch is delivered. If it raises, the generations of the batch are tried one by one."""
        made = self.encode(batch)
        for request in (made,) if isinstance(made, HTTPRequest) else made:
            yield Step(request, self.judge)
        return None

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of the batch: by the rules of OTLP/HTTP unless the product has others."""
        status = response.status
        if 200 <= status < 300:  # noqa: PLR2004 - success, whatever its kind
            return Result(verdict=Verdict.DELIVERED)
        reason = f"HTTP {status}"
        if status == 413:  # noqa: PLR2004 - Content Too Large
            return Result(verdict=Verdict.TOO_LARGE, reason=reason)
        if status in {408, 429, 500, 502, 503, 504}:
            return Result(verdict=Verdict.RETRY, reason=reason)  # the sender reads Retry-After
        return Result(verdict=Verdict.REJECTED, reason=reason)

    def probe(self) -> HTTPRequest:
        """Return the cheapest authenticated request that proves the settings right and writes nothing."""
        raise NotImplementedError

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the probe passed, or what is wrong in words that name the setting to change."""
        if 200 <= response.status < 300:  # noqa: PLR2004
            return Result(verdict=Verdict.DELIVERED)
        reasons = {
            401: "the credentials are refused",
            403: "the credentials are known but lack the permission",
            404: "there is no such path: check the URL, and the region it stands for",
            405: "there is no such path: check the URL",
            415: "the server does not take this encoding",
        }
        reason = reasons.get(response.status, "the server does not accept the request")
        return Result(verdict=Verdict.REJECTED, reason=f"{reason} (HTTP {response.status})")

    def examine(self) -> Conversation:
        """Talk until the settings are proven right; a reason beside `DELIVERED` is a remark."""
        yield Step(self.probe(), self.judge_probe)
        return None


class DirectExporter(Exporter):
    """A destination with a client of its own: files, databases, queues. Called on the destination's own thread."""

    def export(self, batch: Sequence[Generation]) -> Result:
        """Deliver a batch. What it raises counts as `RETRY`."""
        raise NotImplementedError

    def check(self) -> Result:
        """Prove the settings right, as cheaply as can be."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is held; called once."""
