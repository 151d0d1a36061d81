"""What is remembered of calls that have been here."""

from __future__ import annotations

from dataclasses import replace

from orobserve.generation import Cost, Job
from orobserve.proxy.seen import Seen, Sight
from tests.exporters.generations import CHAT

BARE = replace(CHAT, cost=None, content=None)


def test_a_call_is_new_once() -> None:
    seen = Seen()
    assert seen.look(BARE) is Sight.NEW
    assert [seen.add(BARE) for _ in range(3)] == [Sight.NEW, Sight.KNOWN, Sight.KNOWN]
    other_span = replace(BARE, trace_id="1" * 32, span_id="1" * 16)
    assert seen.add(other_span) is Sight.KNOWN  # the same generation
    nameless = replace(BARE, id=None)
    assert [seen.add(each) for each in (nameless, nameless, replace(nameless, span_id="2" * 16))] == [
        Sight.NEW,
        Sight.KNOWN,
        Sight.NEW,
    ]


def test_an_update_knows_all_that_was_known_and_more() -> None:
    seen = Seen()
    assert seen.add(replace(BARE, content=CHAT.content)) is Sight.NEW
    assert seen.add(replace(BARE, cost=CHAT.cost)) is Sight.KNOWN  # it would take the content away
    assert seen.add(replace(CHAT, cost=Cost(is_byok=True))) is Sight.KNOWN
    assert seen.look(CHAT) is Sight.UPDATE
    assert [seen.add(CHAT), seen.add(CHAT)] == [Sight.UPDATE, Sight.KNOWN]


def test_an_update_has_the_ids_of_the_first() -> None:
    seen = Seen()
    seen.add(BARE)
    later = seen.as_update(replace(CHAT, trace_id="1" * 32, span_id="1" * 16, parent_span_id="2" * 16))
    assert (later.trace_id, later.span_id, later.parent_span_id) == (CHAT.trace_id, CHAT.span_id, None)
    assert later.enrichment is not None
    assert later.enrichment.is_late
    unknown = seen.as_update(replace(CHAT, id="gen-other"))
    assert unknown.span_id == CHAT.span_id


def test_the_oldest_is_forgotten_first() -> None:
    seen = Seen(limit=2)
    one, two, three = (replace(BARE, id=f"gen-{number}") for number in range(3))
    seen.add(one)
    seen.add(two)
    seen.add(one)
    seen.add(three)
    assert len(seen) == 2
    assert (seen.look(one), seen.look(two), seen.look(three)) == (Sight.KNOWN, Sight.NEW, Sight.KNOWN)


def test_the_start_of_a_job_is_not_its_end() -> None:
    seen = Seen()
    assert seen.add(replace(BARE, job=Job(id="v"))) is Sight.NEW
    assert seen.add(replace(CHAT, job=Job(id="v", finished=True))) is Sight.NEW
    assert seen.add(CHAT) is Sight.KNOWN
