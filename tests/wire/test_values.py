"""A value of the wrong type is unknown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orobserve.wire import values

HUGE = 10**400
TABLE = {
    values.text: [("a", "a"), ("", None), (None, None), (3, None), ("x" * 2000, "x" * 1024), (["a"], None)],
    values.flag: [(True, True), (False, False), (1, None), (0, None), ("true", None), (None, None)],
    values.integer: [(3, 3), (-3, -3), (3.0, 3), (3.5, None), (True, None), ("3", None), (2**53, 2**53)],
    values.count: [(0, 0), (3, 3), (-1, None), (2.0, 2), (-2.0, None), (2.5, None), (False, None), ("3", None)],
    values.number: [(3, 3.0), (0.5, 0.5), (-1, -1.0), (True, None), ("3", None), (None, None), (HUGE, None)],
    values.amount: [(0, 0.0), ("0.1", 0.1), ("x", None), (-0.1, None), ("-1", None), ("nan", None), (HUGE, None)],
    values.strings: [("a", ("a",)), (["a", "", 3, "b"], ("a", "b")), ([], None), ([3], None), (3, None), ("", None)],
    values.mapping: [({"a": 1}, {"a": 1}), ([], {}), (None, {}), ("a", {})],
    values.sequence: [([1], [1]), ((1,), []), ({}, []), (None, [])],
    values.objects: [([{}, 1, {"a": 1}, None], [{}, {"a": 1}]), ({}, []), (None, [])],
    values.first: [([None, "", "a", "b"], "a"), ([], None), ([None], None)],
}
ROWS = [(read, given, expected) for read, rows in TABLE.items() for given, expected in rows]


@pytest.mark.parametrize(("read", "given", "expected"), ROWS)
def test_reads(read, given, expected) -> None:
    found = read(given)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("read", [values.integer, values.count, values.number, values.amount])
def test_numbers_that_are_not_finite_are_unknown(read, value: float) -> None:
    assert read(value) is None


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, HUGE, 1e300])
def test_counts_that_are_not_exact_are_unknown(value) -> None:
    assert values.integer(value) is None
    assert values.count(value) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_value_raises(value) -> None:
    for read in TABLE:
        if read is not values.first:
            read(value)
