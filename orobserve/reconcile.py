"""The ledger of a day beside OpenRouter's own account of it: by model, and call by call where there is doubt.

OpenRouter's activity is added up by day, model and endpoint: it names no call. So a call that only OpenRouter knows can
be counted, not named; one that the ledger has can be asked for by its id.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from orobserve.generation import Enrichment, Generation, changed
from orobserve.wire.record import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orobserve.account import Activity
    from orobserve.ledger.doubtful import Doubtful
    from orobserve.ledger.query import Reader
    from orobserve.ledger.sums import Sum
    from orobserve.lookup import Answer, Client, Source

_AT_ONCE = 8
_LONGEST = 30.0  # seconds that OpenRouter may make us wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one side knows of a model, or of all. None is unknown; `errors` and `unpriced` only the ledger can tell."""

    calls: int = 0
    errors: int = 0
    unpriced: int = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost: Decimal | None = Decimal(0)

    def __add__(self, other: Figures) -> Figures:
        """Return both together; what one of them does not know is left out."""
        sums: dict[str, Any] = {name: _sum(getattr(self, name), getattr(other, name)) for name in self.__slots__}
        return Figures(**sums)


def _sum(one: Any, other: Any) -> Any:  # noqa: ANN401 - numbers, or None
    return one if other is None else other if one is None else one + other


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A model as both sides have it; None: that side knows no call of it. `names`: as the ledger calls it."""

    model: str
    names: tuple[str | None, ...]
    ours: Figures | None
    theirs: Figures | None

    @property
    def difference(self) -> Decimal:
        """USD that OpenRouter has more than the ledger."""
        ours, theirs = (each.cost if each is not None else None for each in (self.ours, self.theirs))
        return (theirs or Decimal(0)) - (ours or Decimal(0))

    def reasons(self, tolerance: Decimal) -> list[str]:
        """Return in what the sides differ; empty where they agree. A call that failed may be in either count."""
        ours, theirs = self.ours or Figures(), self.theirs or Figures()
        found = []
        if theirs.calls > ours.calls:
            found.append(f"{_counted(theirs.calls - ours.calls)} that the ledger does not have")
        elif theirs.calls < ours.calls - ours.errors:
            found.append(f"{_counted(ours.calls - ours.errors - theirs.calls)} that OpenRouter does not count")
        if abs(self.difference) > tolerance:
            side = "OpenRouter" if self.difference > 0 else "the ledger"
            unpriced = f"; {_counted(ours.unpriced)} of unknown cost" if ours.unpriced else ""
            found.append(f"{side} has ${abs(self.difference):f} more{unpriced}")
        return found


def _counted(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"


def compare(ours: Iterable[Sum], theirs: Iterable[Activity]) -> list[Comparison]:
    """Return the models of both sides, the dearest first.

    Args:
        ours: sums by `model`.
        theirs: rows of the activity.
    """
    there: dict[str, Figures] = {}
    slugs: dict[str, str] = {}
    for row in theirs:
        slugs |= {row.permaslug: row.model}
        figures = Figures(
            calls=row.requests, input_tokens=row.input_tokens, output_tokens=row.output_tokens, cost=row.cost
        )
        there[row.model] = there.get(row.model, Figures()) + figures
    here: dict[str, tuple[Figures, tuple[str | None, ...]]] = {}
    for each in ours:
        name = each.group["model"]
        model = _model(name, there, slugs)
        figures, (known, names) = _figures(each), here.get(model, (None, ()))
        here[model] = figures if known is None else known + figures, (*names, name)
    found = [
        Comparison(
            model=model,
            names=here[model][1] if model in here else (),
            ours=here[model][0] if model in here else None,
            theirs=there.get(model),
        )
        for model in {**there, **here}
    ]
    return sorted(found, key=lambda each: max(_cost(each.ours), _cost(each.theirs)), reverse=True)


def _model(name: str | None, there: dict[str, Figures], slugs: dict[str, str]) -> str:
    """Return what OpenRouter's activity calls a model of ours: by its slug, its dated slug, or without its variant."""
    for each in (name or "", (name or "").partition(":")[0]):
        if each in there or each in slugs:
            return each if each in there else slugs[each]
    return name or "(unknown)"


def _cost(figures: Figures | None) -> Decimal:
    return (figures.cost if figures is not None else None) or Decimal(0)


def _figures(found: Sum) -> Figures:
    return Figures(**{name: getattr(found, name) for name in Figures.__slots__})


def total(figures: Iterable[Figures | None]) -> Figures:
    """Return all together; a cost that none of them knows stays unknown."""
    known = [each for each in figures if each is not None]
    return reduce(add, known) if known else Figures()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What OpenRouter says of one call of ours.

    Attributes:
        call: as the ledger has it.
        status: `found`: the cost was unknown; `other`: it is another one; `same`; else why there is no record
            (`not_found`, `unauthorized`, `error`).
        cost: USD, as OpenRouter has it.
        record: what the ledger should hold, where that is not what it holds.
    """

    call: Doubtful
    status: str
    cost: Decimal | None = None
    record: Generation | None = None


def look_up(
    calls: Sequence[Doubtful], client: Client, source: Source, reader: Reader, advance: Callable[[int], None]
) -> list[Finding]:
    """Ask OpenRouter for the record of each call. Once the key is refused, it is not used again.

    Args:
        calls: which.
        client: who asks.
        source: whom, and with which key.
        reader: of the ledger that has the calls.
        advance: told of each that is done.
    """
    refused: list[str] = []

    def ask(call: Doubtful) -> str | Answer:
        answer = refused[0] if refused else _answer(client, source, call.generation_id)
        if not isinstance(answer, str) and answer.status == "unauthorized":
            refused.append(answer.status)
        return answer

    found = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for call, answer in zip(calls, pool.map(ask, calls), strict=True):
            given = None if isinstance(answer, str) else answer.record
            if given is None:
                found.append(Finding(call=call, status=answer if isinstance(answer, str) else answer.status))
            else:
                found.append(_finding(call, given, reader))
            advance(1)
    return found


def _answer(client: Client, source: Source, generation_id: str) -> Answer:
    answer = client.generation(source, generation_id)
    if answer.retry_after is not None and answer.status == "error":
        time.sleep(min(answer.retry_after, _LONGEST))
        answer = client.generation(source, generation_id)
    return answer


def _finding(call: Doubtful, given: dict[str, object], reader: Reader) -> Finding:
    known = reader.call(call.key)
    if known is None:  # it has been removed in the meantime
        return Finding(call=call, status="error")
    merged = merge(known, given)
    said = merged.cost.total if merged.cost is not None else None
    if said is None:
        return Finding(call=call, status="error")
    cost = Decimal(repr(said))
    if call.cost == cost:
        return Finding(call=call, status="same", cost=cost)
    enrichment = replace(merged.enrichment or Enrichment(status="complete"), is_late=True)
    status = "found" if call.cost is None else "other"
    return Finding(call=call, status=status, cost=cost, record=changed(merged, enrichment=enrichment))
