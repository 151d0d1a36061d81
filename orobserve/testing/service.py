"""The API as a function from request to reply: paths, authentication and the endpoints around inference. No sockets."""

from __future__ import annotations

import random
import re
import string
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType

from orobserve.testing import account, errors, records
from orobserve.testing.account import Account
from orobserve.testing.audio import form_body
from orobserve.testing.inference import Inference, refuse
from orobserve.testing.jobs import Jobs
from orobserve.testing.ledger import Ledger
from orobserve.testing.reply import Incoming, Reply, json_reply
from orobserve.testing.request import InferenceRequest, parse_body
from orobserve.testing.scenarios import Failure, Scenario

_INFERENCE: Mapping[str, str] = MappingProxyType(
    {
        "/v1/chat/completions": "chat",
        "/v1/completions": "completions",
        "/v1/responses": "responses",
        "/alpha/responses": "responses",
        "/v1/messages": "messages",
        "/v1/embeddings": "embeddings",
        "/v1/rerank": "rerank",
        "/v1/images": "images",
        "/v1/audio/speech": "speech",
        "/v1/audio/transcriptions": "transcriptions",
        "/v1/videos": "videos",
    }
)
_PUBLIC = ("/v1/models", "/v1/providers")
_NO_MANAGEMENT = "Only management keys can perform this operation"
_ID_LENGTH = 20

Endpoint = Callable[[Incoming, str], Reply]


class Service:
    """Everything behind the socket."""

    def __init__(
        self, *, prefix: str, seed: int, clock: Callable[[], float], presets: Mapping[str, Scenario], base_url: str = ""
    ) -> None:
        """Start with empty books. The same seed and order of calls give the same ids."""
        self._root = f"{prefix}/api"
        self._clock = clock
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.ledger = Ledger()
        self.account = Account()
        self.inference = Inference(self.ledger, self.new_id, clock, presets)
        self.jobs = Jobs(self.ledger, self.inference, self.new_id, clock)
        self.base_url = base_url
        self._endpoints: tuple[tuple[str, re.Pattern[str], Endpoint], ...] = tuple(
            (method, re.compile(pattern), endpoint) for method, pattern, endpoint in self._table()
        )

    def _table(self) -> tuple[tuple[str, str, Endpoint], ...]:
        """Name the endpoints that are not inference; the pattern's group is handed to the endpoint."""
        entries = self.ledger.entries
        return (
            ("GET", r"/v1/generation()", self._generation),
            ("GET", r"/v1/generation/content()", self._content),
            ("POST", r"/v1/generation/feedback()", self._feedback),
            ("GET", r"/v1/models(?:/user)?()", lambda _incoming, _name: json_reply(account.models())),
            ("GET", r"/v1/models/count()", lambda _incoming, _name: json_reply(account.models_count())),
            ("GET", r"/v1/providers()", lambda _incoming, _name: json_reply(account.providers())),
            (
                "GET",
                r"/v1/key()",
                lambda incoming, _: json_reply(account.key(self.account, key_of(incoming), entries())),
            ),
            ("GET", r"/v1/credits()", self._credits),
            ("GET", r"/v1/activity()", self._activity),
            ("POST", r"/v1/presets/([^/]+)/(?:chat/completions|messages|responses)", self._preset),
            ("GET", r"/v1/videos/([^/]+)", lambda _incoming, name: self.jobs.video(name, self.base_url)),
            ("GET", r"/v1/videos/([^/]+)/content", lambda _incoming, name: self.jobs.film(name)),
            ("POST", r"/(?:beta|v1)/batches()", lambda incoming, _name: self.jobs.submit(incoming, key_of(incoming))),
            ("GET", r"/(?:beta|v1)/batches()", lambda _incoming, _name: self.jobs.batches()),
            ("GET", r"/(?:beta|v1)/batches/([^/]+)", lambda _incoming, name: self.jobs.batch(name)),
        )

    def new_id(self, kind: str) -> str:
        """Make an id like ``gen-1700000000-`` and twenty random characters."""
        with self._lock:
            letters = "".join(self._random.choices(string.ascii_letters + string.digits, k=_ID_LENGTH))
        return f"{kind}-{int(self._clock())}-{letters}"

    def reply(self, incoming: Incoming) -> Reply:
        """Answer one request."""
        path = incoming.path.removeprefix(self._root)
        if path == incoming.path:
            return json_reply(errors.plain(404, "Not Found"), 404)
        path = path.rstrip("/")
        dialect = _INFERENCE.get(path, "")
        denied = _denial(incoming, path)
        if denied:
            request = InferenceRequest(dialect=dialect, path=path, body={}, raw=b"", headers={}, key="")
            reply = refuse(request, Scenario(name="denied"), denied)
        elif dialect and incoming.method == "POST":
            reply = self._infer(incoming, path, dialect)
        else:
            reply = self._elsewhere(incoming, path, dialect)
        reply.endpoint = dialect or path
        return reply

    def _infer(self, incoming: Incoming, path: str, dialect: str) -> Reply:
        content_type = incoming.headers.get("content-type", "")
        is_form = content_type.startswith("multipart/form-data")
        body = form_body(content_type, incoming.body) if is_form else parse_body(incoming.body)
        request = InferenceRequest(
            dialect=dialect,
            path=path,
            body=body or {},
            raw=incoming.body,
            headers=incoming.headers,
            key=key_of(incoming),
        )
        if body is None:
            failure = Failure(error_type="invalid_request", message="Invalid JSON in the request body")
            return refuse(request, Scenario(name="refused"), failure)
        reply = self.inference.serve(request)
        if dialect == "videos" and reply.entry and reply.status == HTTPStatus.ACCEPTED:
            self.jobs.follow(reply.entry)
        return reply

    def _elsewhere(self, incoming: Incoming, path: str, dialect: str) -> Reply:
        """Serve the endpoints around inference, or say that there is none or that the method is wrong."""
        allowed = {"POST"} if dialect else set()
        for method, pattern, endpoint in self._endpoints:
            match = pattern.fullmatch(path)
            if match and method == incoming.method:
                return endpoint(incoming, match.group(1))
            if match:
                allowed.add(method)
        if allowed:
            return json_reply(errors.plain(405, "Method Not Allowed"), 405, [("Allow", ", ".join(sorted(allowed)))])
        return json_reply(errors.plain(404, "Not Found"), 404)

    def _generation(self, incoming: Incoming, _name: str) -> Reply:
        """Answer 404 until the record is written, which never happens before the response has ended."""
        entry = self.ledger.look_up(incoming.query.get("id", ""))
        missing = json_reply(errors.plain(404, f"Generation {incoming.query.get('id')} not found"), 404)
        if entry is None or entry.answer.request.key != key_of(incoming) or entry.finished_at is None:
            return missing
        scenario = entry.answer.scenario
        early = entry.lookups <= scenario.record_after or self._clock() < entry.finished_at + scenario.record_delay
        if early or scenario.record_status == HTTPStatus.NOT_FOUND:
            return missing
        if scenario.record_status != HTTPStatus.OK:
            headers = [("Retry-After", "1")] if scenario.record_status == HTTPStatus.TOO_MANY_REQUESTS else []
            return json_reply(errors.plain(scenario.record_status, "Try again"), scenario.record_status, headers)
        return json_reply(records.record(entry))

    def _content(self, incoming: Incoming, _name: str) -> Reply:
        entry = self.ledger.get(incoming.query.get("id", ""))
        if entry is None or entry.answer.request.key != key_of(incoming):
            return json_reply(errors.plain(404, "Generation not found"), 404)
        return json_reply(records.content(entry))

    def _feedback(self, incoming: Incoming, _name: str) -> Reply:
        body = parse_body(incoming.body) or {}
        if self.ledger.get(str(body.get("generation_id"))) is None:
            return json_reply(errors.plain(404, "Generation not found"), 404)
        return json_reply({"data": {"success": True}})

    def _credits(self, incoming: Incoming, _name: str) -> Reply:
        if not self._is_management(incoming):
            return json_reply(errors.plain(403, _NO_MANAGEMENT), 403)
        return json_reply(account.credits_left(self.account, self.ledger.entries()))

    def _activity(self, incoming: Incoming, _name: str) -> Reply:
        if not self._is_management(incoming):
            return json_reply(errors.plain(403, _NO_MANAGEMENT), 403)
        found = account.activity(self.ledger.entries(), self._clock(), incoming.query)
        if found is None:
            return json_reply(errors.plain(400, "Invalid request parameters"), 400)
        return json_reply(found)

    def _is_management(self, incoming: Incoming) -> bool:
        known = self.account.management_keys
        return known is None or key_of(incoming) in known

    def _preset(self, incoming: Incoming, slug: str) -> Reply:
        body = parse_body(incoming.body)
        if body is None:
            return json_reply(errors.plain(400, "Invalid request parameters"), 400)
        return json_reply(account.preset(slug, body, self._clock()))


def key_of(incoming: Incoming) -> str:
    """Find the API key in either header; empty when there is none."""
    scheme, _, token = incoming.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return bearer or incoming.headers.get("x-api-key", "")


def _denial(incoming: Incoming, path: str) -> Failure | None:
    """Accept any key but those that end in ``-invalid``; the catalogue needs none."""
    key = key_of(incoming)
    if not key and not path.startswith(_PUBLIC):
        return Failure(error_type="authentication", message="Missing Authentication header")
    if key.endswith("-invalid"):
        return Failure(error_type="authentication", message="User not found.")
    return None
