"""Calls for the example queries of OpenRouter's warehouse guides, and the rows that each query must give.

The rows are worked out here from plain figures, in exact arithmetic, and never from a `Generation`. Costs are
`Decimal`, averages `float`, unknown is None; the columns are those of the guides, in their order. Results whose order
a guide does not say are sorted here; `None` costs do not arise in what is ordered by cost, since engines disagree on
where NULL belongs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from orobserve.generation import (
    Content,
    Cost,
    Error,
    Generation,
    Message,
    Outcome,
    Request,
    Text,
    Timing,
    Trace,
    Usage,
)
from orobserve.telemetry import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Row = tuple[Any, ...]

_MS = 1_000_000  # nanoseconds
_HOUR, _DAY = 60, 24 * 60  # minutes
SONNET, MINI, FREE = "anthropic/claude-sonnet-4", "openai/gpt-4o-mini", "meta-llama/llama-3.3-70b-instruct:free"


class Call(NamedTuple):
    """One call in plain figures. `trace` is the caller's own trace id; `said` is a prompt and its answer."""

    number: int
    age: int  # minutes
    model: str = SONNET
    provider: str | None = "Anthropic"
    user: str = "ada"
    session: str = "s-1"
    key: str | None = "production"
    trace: str | None = None
    tokens: tuple[int, int] | None = (1000, 200)
    cost: str | None = "0.0042"
    duration: int = 1500  # milliseconds
    outcome: Outcome = Outcome.COMPLETE
    metadata: Mapping[str, Any] = {}
    said: tuple[str, str | None] | None = ("Summarise the report.", "It went well.")

    @property
    def trace_id(self) -> str:
        """As it is stored."""
        return self.trace or f"{0xA0000 + self.number:032x}"

    @property
    def span_id(self) -> str:
        return f"{0xB0000 + self.number:016x}"

    @property
    def status(self) -> str:
        return "error" if self.outcome is Outcome.FAILED else "ok"

    @property
    def custom(self) -> dict[str, Any]:
        """What METADATA holds."""
        return {**self.metadata, **({"trace_id": self.trace} if self.trace else {})}


# 21 calls of one pair: their median and their 95th percentile are calls, by whatever rule one counts.
_SONNET = [
    Call(number, 90 + 7 * number, duration=800 + 137 * number, cost=f"0.00{420 + number}", session=f"s-{number % 4}")
    for number in range(21)
]
_MINI = [
    Call(
        100 + number,
        3 * _DAY + 11 * number,
        MINI,
        "OpenAI",
        user="grace",
        session=f"g-{number % 3}",
        key="staging",
        trace=f"workflow_{number // 2}",  # two calls in one trace
        tokens=(300 + number, 40),
        cost=f"0.0000{61 + number}",
        duration=350 + 91 * ((number * 8) % 21),
    )
    for number in range(21)
]
_OTHERS = [
    # Too few of this pair for the comparison of providers; the last two are older than a week, and than a month.
    *(Call(200 + n, 2 * _DAY + n, MINI, "Azure", "grace", "g-9", "staging", cost="0.00007") for n in range(3)),
    Call(203, 8 * _DAY, MINI, "Azure", "linus", "l-1", None, cost="0.5", duration=99_999),
    Call(204, 40 * _DAY, SONNET, user="linus", session="l-2", cost="7.25", duration=99_999),
    # Known to be free; not known what it cost; and broken off, with nothing known of it. All on one day.
    Call(210, 5 * _HOUR, FREE, "Meta", "linus", "l-3", None, tokens=(50, 60), cost="0", said=None),
    Call(211, 5 * _HOUR, FREE, "Meta", "linus", "l-3", None, tokens=(70, 80), cost=None),
    Call(212, 5 * _HOUR, FREE, None, "linus", "l-4", None, tokens=None, cost=None, outcome=Outcome.CANCELLED),
    # Errors: one within the hour.
    Call(
        220,
        10,
        MINI,
        None,
        "grace",
        "g-1",
        "staging",
        trace="workflow_broken",
        tokens=None,
        cost=None,
        outcome=Outcome.FAILED,
        metadata={"team": "growth"},
        said=("Will it work?", None),
    ),
    Call(221, 3 * _HOUR, MINI, None, "grace", "g-1", "staging", tokens=None, cost=None, outcome=Outcome.FAILED),
    # Metadata.
    Call(
        230,
        20,
        provider="Google",
        key="finance",
        cost="0.0125",
        metadata={"department": "finance", "quarter": "Q3", "model_version": "v2.1", "nested": {"deep": [1, None]}},
    ),
    Call(
        231,
        30,
        provider="Google",
        key="finance",
        cost="0.00000016",
        metadata={"department": "söles 日本", "custom_field": 'a "b" \\'},
    ),
    Call(
        232,
        40,
        provider="Google",
        key="finance",
        cost=None,
        metadata={"custom_field": "plain"},
        said=("Ünï 👩‍👩‍👧 'a' \\ \n", "ok"),
    ),
]
CALLS = [*_SONNET, *_MINI, *_OTHERS]


def calls(now_ns: int) -> list[Generation]:
    """Return all calls as they are recorded, if it is now `now_ns` nanoseconds since the epoch."""
    return [_generation(call, started_at(call, now_ns)) for call in CALLS]


def started_at(call: Call, now_ns: int) -> int:
    """Return when a call began, in nanoseconds since the epoch, to the millisecond."""
    return (now_ns - call.age * 60 * 1000 * _MS) // _MS * _MS


def _generation(call: Call, started: int) -> Generation:
    failed = call.outcome is Outcome.FAILED
    said = call.said
    answered = (Message(role="assistant", parts=(Text(content=said[1]),)),) if said and said[1] else ()
    given, taken = call.tokens or (None, None)
    cost = None if call.cost is None else float(call.cost)
    return Generation(
        api_type="chat_completions",
        operation="chat",
        outcome=call.outcome,
        timing=Timing(started_at=started, ended_at=started + call.duration * _MS),
        request=Request(
            model=call.model,
            user=call.user,
            session_id=call.session,
            api_key_name=call.key,
            trace=Trace(trace_id=call.trace, metadata=call.metadata or None),
        ),
        server_address="openrouter.ai",
        server_port=443,
        id=f"gen-{call.number}",
        status_code=502 if failed else 200,
        model=None if failed else call.model,
        provider=call.provider,
        finish_reasons=("stop",) if call.outcome is Outcome.COMPLETE else None,
        usage=None if call.tokens is None else Usage(input_tokens=given, output_tokens=taken),
        cost=None if cost is None else Cost(charged=cost, total=cost, is_byok=False, source="response"),
        error=Error(type="502", message="Provider returned error") if failed else None,
        content=said and Content(input=(Message(role="user", parts=(Text(content=said[0]),)),), output=answered),
        trace_id=f"{ids.trace_id(call.trace):032x}" if call.trace else call.trace_id,
        span_id=call.span_id,
    )


class Expected:
    """The rows of the guides' queries, if it is now `now_ns`."""

    def __init__(self, now_ns: int) -> None:
        self._now = now_ns

    def cost_by_model(self) -> list[Row]:
        """Day, model, cost, tokens, calls; newest day first, then by cost."""
        found = [
            (day, model, _cost(group), _sum(map(_total, group)), len(group))
            for (day, model), group in _groups(self._ok(30 * _DAY), lambda call: (self._at(call).date(), call.model))
        ]
        return sorted(found, key=lambda row: (row[0], row[2]), reverse=True)

    def user_activity(self) -> list[Row]:
        """User, traces, sessions, tokens, cost, average milliseconds; by cost."""
        found = [
            (user, *_distinct(group, "trace_id", "session"), _sum(map(_total, group)), _cost(group), _mean(group))
            for user, group in _groups(_within(7 * _DAY), lambda call: call.user)
        ]
        return sorted(found, key=lambda row: row[4], reverse=True)

    def errors(self) -> list[Row]:
        """Trace, time, model, level, finish reason, metadata, input, output; newest first."""
        (call,) = (call for call in _within(_HOUR) if call.status == "error")
        asked = {"messages": [{"role": "user", "content": call.said and call.said[0]}]}
        return [(call.trace_id, self._at(call), call.model, "ERROR", None, call.custom, asked, {"messages": []})]

    def providers(self) -> list[Row]:
        """Provider, model, average, median and 95th percentile of milliseconds, calls; quickest first."""
        found = [
            (*pair, _mean(group), _rank(group, 50), _rank(group, 95), len(group))
            for pair, group in _groups(self._ok(7 * _DAY), lambda call: (call.provider, call.model))
            if len(group) >= 10
        ]
        return sorted(found, key=lambda row: row[2])

    def usage_by_key(self) -> list[Row]:
        """Key, traces, cost, prompt tokens, completion tokens; by cost."""
        found = [
            (key, *_distinct(group, "trace_id"), _cost(group), _sum(map(_given, group)), _sum(map(_taken, group)))
            for key, group in _groups(_within(30 * _DAY), lambda call: call.key)
        ]
        return sorted(found, key=lambda row: row[2], reverse=True)

    def custom_fields(self) -> list[Row]:
        """Trace, custom field, requested model; sorted."""
        found = [call for call in CALLS if "custom_field" in call.metadata]
        return sorted((call.trace_id, call.metadata["custom_field"], call.model) for call in found)

    def first_messages(self) -> list[Row]:
        """Trace, role and content of the first message; sorted, None as if it were empty."""
        found = [(call.trace_id, "user" if call.said else None, call.said and call.said[0]) for call in CALLS]
        return sorted(found, key=lambda row: (row[0], row[2] or ""))

    def departments(self) -> list[Row]:
        """Department, quarter, model version, cost, tokens; newest first."""
        found = sorted((call for call in CALLS if "department" in call.metadata), key=lambda call: call.age)
        names = ("department", "quarter", "model_version")
        return [(*(call.metadata.get(name) for name in names), _usd(call), _total(call)) for call in found]

    def newest(self) -> list[Row]:
        """Trace, span, time, model, status, tokens, cost of twenty calls; newest first."""
        return [
            (call.trace_id, call.span_id, self._at(call), call.model, call.status, _total(call), _usd(call))
            for call in sorted(CALLS, key=lambda call: call.age)[:20]
        ]

    def _at(self, call: Call) -> datetime:
        return moment(started_at(call, self._now))

    @staticmethod
    def _ok(minutes: int) -> list[Call]:
        return [call for call in _within(minutes) if call.status == "ok"]


def moment(nanoseconds: int) -> datetime:
    """Return a time in UTC, without a zone."""
    return datetime(1970, 1, 1) + timedelta(microseconds=nanoseconds // 1000)  # noqa: DTZ001 - as it is stored


def _within(minutes: int) -> list[Call]:
    return [call for call in CALLS if call.age < minutes]


def _groups(found: Iterable[Call], key: Callable[[Call], Any]) -> Iterable[tuple[Any, list[Call]]]:
    groups: dict[Any, list[Call]] = {}
    for call in found:
        groups.setdefault(key(call), []).append(call)
    return groups.items()


def _sum(figures: Iterable[Any]) -> Any:
    """Add up what is known; None where nothing is, as SQL does."""
    known = [figure for figure in figures if figure is not None]
    return sum(known[1:], known[0]) if known else None


def _usd(call: Call) -> Decimal | None:
    return None if call.cost is None else Decimal(call.cost)


def _cost(group: Iterable[Call]) -> Any:
    return _sum(map(_usd, group))


def _given(call: Call) -> int | None:
    return call.tokens and call.tokens[0]


def _taken(call: Call) -> int | None:
    return call.tokens and call.tokens[1]


def _total(call: Call) -> int | None:
    return call.tokens and sum(call.tokens)


def _distinct(group: Iterable[Call], *fields: str) -> list[int]:
    return [len({getattr(call, field) for call in group}) for field in fields]


def _mean(group: list[Call]) -> float:
    return float(Fraction(sum(call.duration for call in group), len(group)))


def _rank(group: list[Call], percent: int) -> float:
    """Return a percentile that is a call's own, so that it needs no interpolation."""
    place = Fraction(percent, 100) * (len(group) - 1)
    assert place.denominator == 1, "choose another number of calls"
    return float(sorted(call.duration for call in group)[int(place)])
