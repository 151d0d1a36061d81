"""Events as the HTML standard defines them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orobserve.wire import sse
from orobserve.wire.sse import Event, parse_event


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (b"data: x\n\n", Event(None, b"x", 0)),
        (b"data:x\n\n", Event(None, b"x", 0)),
        (b"data:  x\n\n", Event(None, b" x", 0)),
        (b"data: x\ndata: y\n\n", Event(None, b"x\ny", 0)),
        (b"data\n\n", Event(None, b"", 0)),
        (b"data\ndata\n\n", Event(None, b"\n", 0)),
        (b"data: a:b\n\n", Event(None, b"a:b", 0)),
        (b"event: ping\ndata: x\n\n", Event("ping", b"x", 0)),
        (b"event:ping\revent: pong\rdata: x\r\r", Event("pong", b"x", 0)),
        (b"event: \xff\r\ndata: x\r\n\r\n", Event("\N{REPLACEMENT CHARACTER}", b"x", 0)),
        (b": OPENROUTER PROCESSING\n\n", Event(None, b"", 1)),
        (b":\n:\n\n", Event(None, b"", 2)),
        (b"id: 1\nretry: 5\nfoo: bar\nfoo\n\n", Event(None, b"", 0)),
        (b" data: x\n\n", Event(None, b"", 0)),
        (b"Data: x\n\n", Event(None, b"", 0)),
    ],
)
def test_fields(raw: bytes, event: Event) -> None:
    assert parse_event(raw) == event


@pytest.mark.parametrize(
    ("buffer", "end"),
    [
        (b"a\n\nb", 3),
        (b"a\r\rb", 3),
        (b"a\r\n\r\nb", 5),
        (b"a\n\r\nb", 4),
        (b"a\r\n\nb", 4),
        (b"a\r\n\rb", 4),
        (b"a\r\r\nb", 4),
        (b"a\n", -1),
        (b"a\r\n", -1),
        (b"a", -1),
        (b"", -1),
    ],
)
def test_where_an_event_ends(buffer: bytes, end: int) -> None:
    assert sse.event_end(buffer, 0) == end


def test_the_search_begins_where_it_is_told() -> None:
    assert sse.event_end(b"a\n\nb\n\n", 3) == 6
    assert sse.skip_blank(b"\r\n\n\rx", 0) == 4
    assert sse.skip_blank(b"x\n", 1) == 2
    assert sse.skip_blank(b"x", 0) == 0


def test_byte_order_mark() -> None:
    assert sse.strip_bom(b"\xef\xbb\xbfdata") == b"data"
    assert sse.strip_bom(b"data\xef\xbb\xbf") == b"data\xef\xbb\xbf"


LINES = st.sampled_from(["data: x", "data:y", ": c", "event: e", "id: 1", "data"])


@settings(max_examples=100)
@given(events=st.lists(st.lists(LINES, min_size=1, max_size=4), min_size=1, max_size=6), ends=st.data())
def test_the_line_ends_do_not_matter(events: list[list[str]], ends) -> None:
    def written(pick):
        return [b"".join(line.encode() + end for line in [*lines, ""]) for lines in events for end in [pick()]]

    plain = [parse_event(raw) for raw in written(lambda: b"\n")]
    mixed = written(lambda: ends.draw(st.sampled_from([b"\n", b"\r\n", b"\r"])))
    assert [parse_event(raw) for raw in mixed] == plain
    data, start, found = b"".join(mixed), 0, []
    while (start := sse.skip_blank(data, start)) < len(data):
        stop = sse.event_end(data, start)
        found.append(parse_event(data[start:stop]))
        start = stop
    assert found == plain
