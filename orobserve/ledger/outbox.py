"""The outbox's rows: which destination has still to get which call. SQL on an open ledger; it sends nothing.

A row is made in the transaction that writes the call, and removed when the destination has accepted it. While a process
has it in hand, the row has that process's number as its owner; an owner that does not say in time that it lives loses
its rows to whoever comes next. Times in nanoseconds since the epoch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.delivery.letters import Fate, Receipt
from orobserve.ledger import database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LEASE = 90.0  # seconds that an owner is taken to live after it last said so
_SECOND = 10**9
_FIRST_DELAY, _LONGEST_DELAY = 30, 300  # seconds before a row is tried again; the delay doubles
_MOST_BYTES = 16_000_000  # of records that are claimed at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row that is now this process's to send, with the record as it is stored."""

    receipt: Receipt
    record: str | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryState:
    """What is still to be delivered to the destinations of one name. Times in nanoseconds since the epoch.

    Attributes:
        due: calls that are to be sent, those in the hands of a process among them.
        dead: calls that the destination has refused.
        oldest_due_at: when the first call that is due began.
        last_reason: why the last attempt that failed did so, if any did.
        delivered: calls that were accepted, of all time, by all processes that share the ledger.
    """

    destination: str
    due: int
    dead: int
    oldest_due_at: int | None
    last_reason: str | None
    last_delivered_at: int | None
    delivered: int


def address(connection: sqlite3.Connection, name: str, place: str) -> int:
    """Return the number of a destination, which gets one at its first time.

    Args:
        connection: in a transaction.
        name: of the destination.
        place: tells destinations of one name apart, which several programs may have set up differently.
    """
    asked = "SELECT id FROM destinations WHERE name = ? AND place = ?"
    found = connection.execute(asked, (name, place)).fetchone()
    if found is None:
        connection.execute("INSERT INTO destinations (name, place) VALUES (?, ?)", (name, place))
        found = connection.execute(asked, (name, place)).fetchone()
    return int(found[0])


def live(connection: sqlite3.Connection, owner: int, now: int) -> None:
    """Say that an owner lives, and free the rows of those that do not."""
    lease = int(LEASE * _SECOND)
    connection.execute(
        "INSERT INTO owners VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until", (owner, now + lease)
    )
    # An end that is too far away was set before the machine's clock was put back.
    gone = connection.execute("SELECT id FROM owners WHERE until < ? OR until > ?", (now, now + 2 * lease)).fetchall()
    for (each,) in gone:
        leave(connection, each, now)


def leave(connection: sqlite3.Connection, owner: int, now: int) -> None:
    """Take an owner out, and free what it has in hand."""
    connection.execute("UPDATE outbox SET owner = NULL, due_at = ? WHERE owner = ?", (now, owner))
    connection.execute("DELETE FROM owners WHERE id = ?", (owner,))


def post(connection: sqlite3.Connection, key: str, version: int, destination: int, owner: int, now: int) -> Receipt:
    """Make the row of a call that the ledger did not know, in the hands of an owner."""
    made = connection.execute(
        "INSERT INTO outbox (key, destination, version, due_at, owner) VALUES (?, ?, ?, ?, ?)",
        (key, destination, version, now, owner),
    )
    return Receipt(made.lastrowid or 0, version, owner)


def is_posted(connection: sqlite3.Connection, key: str, destination: int) -> bool:
    """Tell whether a destination has still to get a call, or has refused it."""
    asked = "SELECT 1 FROM outbox WHERE key = ? AND destination = ?"
    return connection.execute(asked, (key, destination)).fetchone() is not None


def renew(connection: sqlite3.Connection, key: str, version: int, destination: int, now: int) -> None:
    """Have a later version of a call sent: at once, or when whoever has the one before in hand is done with that."""
    connection.execute(
        "UPDATE outbox SET version = ?, dead = 0, reason = NULL, due_at = ? WHERE key = ? AND destination = ?",
        (version, now, key, destination),
    )


def take_over(connection: sqlite3.Connection, old: str, new: str) -> None:
    """Keep the rows of a call that is about to be removed, for the one that takes its place."""
    if old != new:
        connection.execute("UPDATE OR IGNORE outbox SET key = ? WHERE key = ?", (new, old))
        connection.execute("DELETE FROM outbox WHERE key = ?", (old,))  # both had one: it would be due for ever
    connection.execute(
        "UPDATE calls SET key = 'replaced:' || id WHERE key = ?", (old,)
    )  # rows go with their call's key


def due_of(connection: sqlite3.Connection, keys: Sequence[str]) -> Counter[str]:
    """Return how many of some calls are still due, by destination."""
    asked = "SELECT name FROM outbox JOIN destinations ON destination = destinations.id WHERE key = ? AND dead = 0"
    return Counter(name for key in keys for (name,) in connection.execute(asked, (key,)))


def settle(
    connection: sqlite3.Connection, destination: int, marks: Iterable[tuple[Sequence[Receipt], Fate, str]], now: int
) -> None:
    """Note what became of rows that were in hand; of those that their owner has lost meanwhile, nothing is."""
    delivered, tried, untried = 0, None, None
    for receipts, fate, reason in marks:
        delivered += len(receipts) * (fate is Fate.DELIVERED)
        tried = reason if fate in {Fate.DEAD, Fate.FAILED} else tried
        untried = reason if fate is Fate.UNTRIED else untried
        for receipt in receipts:
            _settle(connection, receipt, fate, reason, now)
    if delivered:
        changed = "UPDATE destinations SET delivered = delivered + ?, delivered_at = ? WHERE id = ?"
        connection.execute(changed, (delivered, now, destination))
    if tried is not None or untried is not None:  # what follows from a failure says less than the failure
        changed = "UPDATE destinations SET reason = coalesce(?, reason, ?) WHERE id = ?"
        connection.execute(changed, (tried, untried, destination))


def _settle(connection: sqlite3.Connection, receipt: Receipt, fate: Fate, reason: str, now: int) -> None:
    which = {"row": receipt.row, "owner": receipt.owner, "version": receipt.version, "reason": reason, "now": now}
    if fate is Fate.FAILED:
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(receipt.attempts, 9))
        connection.execute(_LATER, {**which, "now": now + delay * _SECOND})
    elif fate is Fate.UNTRIED or connection.execute(_ENDS[fate], which).rowcount == 0:  # a later version waits
        connection.execute(_FREE, which)


_MINE = "id = :row AND owner = :owner"
_GONE = f"DELETE FROM outbox WHERE {_MINE} AND version = :version"  # noqa: S608 - ours
_ENDS = {
    Fate.DELIVERED: _GONE,
    Fate.WITHHELD: _GONE,
    Fate.DEAD: f"UPDATE outbox SET dead = 1, owner = NULL, reason = :reason WHERE {_MINE} AND version = :version",  # noqa: S608
}
_FREE = f"UPDATE outbox SET owner = NULL, due_at = :now WHERE {_MINE}"  # noqa: S608
_LATER = f"UPDATE outbox SET owner = NULL, due_at = :now, attempts = attempts + 1, reason = :reason WHERE {_MINE}"  # noqa: S608
_FREED = "owner IS NULL AND dead = 0"


def claim(connection: sqlite3.Connection, destination: int, owner: int, limit: int, now: int) -> list[Claim]:
    """Take into hand what is due for a destination, oldest first: so many rows at most, and not too large together."""
    # Further away than any delay is what was put off before the machine's clock was put back.
    connection.execute(
        f"UPDATE outbox SET due_at = :now WHERE destination = :destination AND {_FREED} AND due_at > :latest",  # noqa: S608
        {"now": now, "destination": destination, "latest": now + 2 * _LONGEST_DELAY * _SECOND},
    )
    found = connection.execute(
        f"""SELECT outbox.id, calls.id, attempts, record FROM outbox
        CROSS JOIN calls USING (key) CROSS JOIN records ON records.id = calls.id
        WHERE destination = ? AND {_FREED} AND due_at <= ? ORDER BY due_at, outbox.id LIMIT ?""",  # noqa: S608
        (destination, now, limit),
    )
    claims, size = [], 0
    for row, version, attempts, record in found:
        claims.append(Claim(receipt=Receipt(row, version, owner, attempts, is_backlog=True), record=record))
        size += len(record)
        if size >= _MOST_BYTES:
            break
    connection.executemany(
        "UPDATE outbox SET owner = ?, version = ? WHERE id = ?",
        [(owner, each.receipt.version, each.receipt.row) for each in claims],
    )
    return claims


def next_due(connection: sqlite3.Connection, destination: int) -> int | None:
    """Return when the first row of a destination that nobody has in hand is due."""
    asked = f"SELECT min(due_at) FROM outbox WHERE destination = ? AND {_FREED}"  # noqa: S608
    found: int | None = connection.execute(asked, (destination,)).fetchone()[0]
    return found


def delivery_states(path: Path) -> list[DeliveryState]:
    """Return what is to be delivered to every destination that the ledger has heard of, by name.

    Raises:
        LedgerError: there is no ledger, or it cannot be read.
    """
    with database.reading(path) as connection:
        found = connection.execute("""SELECT name, ifnull(sum(due), 0), ifnull(sum(dead), 0),
            min((SELECT started_at FROM outbox JOIN calls USING (key) WHERE outbox.id = first)),
            max(reason), max(delivered_at), sum(delivered)
            FROM destinations LEFT JOIN (
                SELECT destination, sum(1 - dead) AS due, sum(dead) AS dead, min(CASE dead WHEN 0 THEN id END) AS first
                FROM outbox GROUP BY destination
            ) ON destination = destinations.id GROUP BY name ORDER BY name""").fetchall()
    return [
        DeliveryState(
            destination=name,
            due=due,
            dead=dead,
            oldest_due_at=oldest,
            last_reason=reason,
            last_delivered_at=last,
            delivered=delivered,
        )
        for name, due, dead, oldest, reason, last, delivered in found
    ]
