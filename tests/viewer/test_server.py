"""The viewer's server over real ledgers: who is let in, what is answered, and that it is exact."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orobserve.generation import Cost, Outcome, Request, Timing
from orobserve.ledger.query import Reader
from orobserve.viewer import answers
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import DAY, MODELS, SECOND, call, exact, late, priced
from tests.viewer import hostile

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.viewer.conftest import Served

    Serve = Callable[..., Served]

ALL = {"since": "all"}
COSTS = [0.1, 0.2, 1e-12, 3.3333333e-7, None, 12.5, 0.0, 1 / 3]


def refused(served: Served, url: str = "/api/calls", **headers: str) -> int:
    """Ask with a client that is let in but for these headers, and return the status."""
    return served.client.get(url, headers={name.replace("_", "-"): text for name, text in headers.items()}).status_code


def test_only_the_token_lets_a_browser_in(serve: Serve) -> None:
    served = serve([])
    with httpx.Client(base_url=served.page.address, trust_env=False) as stranger:
        for url in ("/", "/calls", "/api/calls", "/download/calls.csv", "/?token=", "/?token=guess", "/?token=%c3%a9"):
            answer = stranger.get(url)
            assert answer.status_code == 403
            assert "orobserve ui" in answer.text
            assert not answer.cookies
        answer = stranger.get(served.page.url + "&since=7d&model=a%26b")
        assert answer.headers["refresh"] == "0; url=/?since=7d&model=a%26b"
        assert answer.headers["cache-control"] == "no-store"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        token = served.page.url.partition("token=")[2]
        assert token not in cookie + answer.headers["refresh"] + answer.text
        assert len(token) >= 32
        assert stranger.get("/api/calls").json() == {"missing": True}
    assert serve([]).page.url.partition("token=")[2] != token
    with closing(HTTPConnection("127.0.0.1", int(httpx.URL(served.page.address).port or 0))) as connection:
        connection.request("GET", f"//evil.example/?token={token}")  # an address that a client would not write so
        assert connection.getresponse().headers["refresh"] == "0; url=/evil.example/"


def test_other_hosts_and_other_pages_are_refused(serve: Serve) -> None:
    served = serve([])
    port = httpx.URL(served.page.address).port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{port}"):
        assert refused(served, host=host) == 421
        assert refused(served, "/static/js/main.js", host=host) == 421
    for host in (f"localhost:{port}", f"[::1]:{port}"):  # by these names too
        assert refused(served, host=host) in {200, 403}
    for site in ("cross-site", "same-site"):
        assert refused(served, sec_fetch_site=site) == 403
    assert refused(served, sec_fetch_site="same-origin") == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = served.client.request(method, "/api/calls", headers={"origin": "http://evil.example"})
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "url", ["/", "/call?id=1", "/api/calls", "/api/call?id=none", "/static/js/main.js", "/no/such"]
)
def test_every_answer_is_guarded(serve: Serve, url: str) -> None:
    headers = serve([]).client.get(url).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if url.startswith("/static") else "no-store")


def test_static_files_are_the_packages_and_no_others(serve: Serve) -> None:
    client = serve([]).client
    first = client.get("/static/js/main.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = client.get("/static/js/main.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/",
    ):
        assert client.get(path).status_code in {404, 405}


def test_sums_and_series_are_exact(serve: Serve) -> None:
    served = serve([priced(number, cost) for number, cost in enumerate(COSTS * 3)])
    total = exact([cost for cost in COSTS * 3 if cost is not None])
    found = served.ask("sums", **ALL)
    assert (Decimal(found["total"]["cost"]), found["total"]["unpriced"], found["total"]["calls"]) == (total, 3, 24)
    assert sum(Decimal(each["cost"]) for each in found["groups"]) == total
    assert {each["name"] for each in found["groups"]} == set(MODELS)
    for by, names in (("user", {f"u-{number}" for number in range(5)}), ("session", {f"s-{n}" for n in range(7)})):
        assert {each["name"] for each in served.ask("sums", by=by, **ALL)["groups"]} == names
    drawn = served.ask("series", since="2026-11-20", until="2027-01-01", by="user")
    assert drawn["step"] == DAY // 10**6
    assert sum(Decimal(each["cost"]) for each in drawn["points"]) == total
    assert sum(Decimal(each["cost"]) for each in drawn["parts"]) == total
    assert all(drawn["since"] <= each["start"] < drawn["until"] for each in drawn["points"])
    assert served.ask("latencies", **ALL)["p50"] == pytest.approx(1.0, rel=0.05)


def test_steps_fit_the_time(serve: Serve) -> None:
    served = serve([priced(number, 0.5) for number in range(3)])
    start = STARTED_AT // SECOND
    for length, step in ((3_600, 60_000), (86_400, 3_600_000), (30 * 86_400, 86_400_000)):
        drawn = served.ask("series", since=f"{start - 60}000000000", until=f"{start - 60 + length}000000000")
        assert drawn["step"] == step
        assert sum(each["calls"] for each in drawn["points"]) == 3
        assert 20 <= (drawn["until"] - drawn["since"]) / step <= 80
    drawn = served.ask("series", since="all", until=f"{start + 40 * 86_400}000000000")
    assert drawn["since"] == STARTED_AT // DAY * DAY // 10**6  # from the first day on, and not from 1970


def test_filters(serve: Serve) -> None:
    failed = call(7, outcome=Outcome.FAILED, cost=None, tags={"tags": ["nightly"]})
    keyed = call(8, request=Request(model="m", api_key_hash="b" * 64), model="m")
    served = serve([*(call(number) for number in range(7)), failed, keyed])

    def keys(**query: str) -> set[str]:
        rows = served.ask("calls", **query)["rows"]
        assert served.ask("sums", **query)["total"]["calls"] == len(rows)
        return {row["key"] for row in rows}

    assert keys(errors="1") == keys(tag="nightly") == {"gen-7"}
    assert keys(key="b" * 64) == {"gen-8"}
    assert keys(user="u-1", model=MODELS[1]) == {"gen-1"}
    assert keys(session="s-3") == {"gen-3"}
    assert len(keys(since=str(STARTED_AT + 2 * SECOND), until=str(STARTED_AT + 5 * SECOND))) == 3
    assert set(served.ask("values", by="model", **ALL)["values"]) == {*MODELS, "m"}


@pytest.mark.parametrize("what", ["sums", "series", "calls", "latencies", "sessions", "follow", "values"])
@pytest.mark.parametrize("since", ["0001-01-01", "9999-12-31T23:59", "9" * 19, "999999w"])
def test_times_that_no_ledger_holds_are_harmless(serve: Serve, what: str, since: str) -> None:
    served = serve([call(1)])
    assert len(json.dumps(served.ask(what, since=since))) < 20_000
    assert len(json.dumps(served.ask(what, until=since))) < 20_000


@pytest.mark.parametrize(
    ("what", "query", "named"),
    [
        ("calls", {"since": "yesterday"}, "24h"),
        ("calls", {"limit": "-1"}, "limit"),
        ("calls", {"until": "9999999999999999999999"}, "until"),
        ("follow", {"cursor": "'; DROP TABLE calls"}, "cursor"),
        ("sums", {"by": "day; --"}, "model"),
        ("call", {}, "id"),
        ("part", {"id": "gen-1", "path": "[[1]]"}, "JSON list"),
        ("part", {"id": "gen-1", "path": "[" * 5000}, "JSON list"),
    ],
)
def test_a_bad_question_is_told_what_is_allowed(serve: Serve, what: str, query: dict[str, str], named: str) -> None:
    assert named in serve([call(1)]).ask(what, 400, **query)["error"]


def test_new_and_completed_calls_are_followed(serve: Serve) -> None:
    served = serve([priced(1, None)])
    first = served.ask("calls")
    assert [row["cost"] for row in first["rows"]] == [None]
    assert served.ask("follow", cursor=first["cursor"]) == {"rows": [], "cursor": first["cursor"]}
    served.add(priced(2, 0.25), late(priced(1, 0.125)))
    found = served.ask("follow", cursor=first["cursor"])
    assert {row["key"]: row["cost"] for row in found["rows"]} == {"gen-2": "0.25", "gen-1": "0.125"}
    other = served.ask("follow", cursor=first["cursor"], model="none")
    assert other == {"rows": [], "cursor": found["cursor"]}


def test_older_calls_come_by_the_page(serve: Serve) -> None:
    same = Timing(started_at=STARTED_AT, ended_at=STARTED_AT + 1)
    served = serve([*(call(number) for number in range(1, 8)), call(100, timing=same)])
    seen, until = [], None
    while True:
        page = served.ask("calls", limit="3", **({"until": until} if until else {}))
        seen += [row["key"] for row in page["rows"] if row["key"] not in seen]
        until = page["older"]
        if not until:
            break
    assert seen == [*(f"gen-{number}" for number in range(7, 0, -1)), "gen-100"]


def test_a_session_adds_up(serve: Serve) -> None:
    asked = Request(model="m", session_id="chat/1 ?&#\u202e")
    providers = ["A", "A", None, "B", "A"]
    costs = [None, 0.2, 0.1, 0.7, 1e-9]
    turns = [
        replace(priced(number, cost), provider=provider, request=asked)
        for number, (cost, provider) in enumerate(zip(costs, providers, strict=True))
    ]
    found = serve([*turns, call(50)]).ask("session", id=asked.session_id)
    assert [Decimal(turn["running_cost"]) for turn in found["turns"][1:]] == [
        exact([cost for cost in costs[: number + 1] if cost is not None]) for number in range(1, 5)
    ]
    assert found["turns"][0]["running_cost"] is None  # unknown, and not 0
    assert [turn["running_unpriced"] for turn in found["turns"]] == [1, 1, 1, 1, 1]
    assert [turn["switched"] for turn in found["turns"]] == [False, False, False, True, True]
    assert Decimal(found["total"]["cost"]) == Decimal(found["turns"][-1]["running_cost"])


def test_a_session_of_many_turns_shows_the_last_ones(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_TURNS", 3)
    asked = Request(model="m", session_id="long")
    costs = [1e-27, None, 900_000.1, 0.3, None, 7.0]
    served = serve([replace(priced(number, cost), request=asked) for number, cost in enumerate(costs)])
    found = served.ask("session", id="long")
    assert found["total"]["calls"] == 6
    expected = [exact([cost for cost in costs[:end] if cost is not None]) for end in (4, 5, 6)]
    assert [Decimal(turn["running_cost"]) for turn in found["turns"]] == expected
    assert [turn["running_unpriced"] for turn in found["turns"]] == [1, 2, 2]


def test_sessions(serve: Serve) -> None:
    served = serve([call(number) for number in range(14)])
    with Reader(served.path) as reader:
        expected = [each.id for each in reader.sessions()]
    assert [each["id"] for each in served.ask("sessions")["sessions"]] == expected
    assert served.ask("sessions", limit=2)["sessions"][0]["sums"]["calls"] == 2


def test_a_call_with_all_its_digits(serve: Serve) -> None:
    paid = Cost(charged=3e-7, upstream=0.1, total=0.1000003, is_byok=True, cache_discount=-1e-9, source="generation")
    record = serve([call(1, cost=paid)]).ask("call", id="gen-1")["record"]
    assert record["cost"] == {
        "charged": "0.0000003",
        "upstream": "0.1",
        "total": "0.1000003",
        "is_byok": True,
        "cache_discount": "-0.000000001",
        "source": "generation",
        "kind": "Cost",
    }


def test_why_a_cost_is_not_known_is_said(serve: Serve) -> None:
    served = serve([priced(1, None), priced(2, 0.5)])
    assert "was not asked for" in served.ask("call", id="gen-1")["why"]
    assert served.ask("call", id="gen-2")["why"] is None


def test_long_texts_come_in_pieces_that_make_the_whole(serve: Serve) -> None:
    served = serve([hostile.long()])
    began = time.perf_counter()
    answer = served.client.get("/api/call", params={"id": "gen-long"})
    assert len(answer.content) < 200_000
    assert time.perf_counter() - began < 30
    found = answer.json()
    assert (found["earlier"], len(found["record"]["content"]["input"])) == (251, 200)
    cut = found["record"]["content"]["output"][0]["parts"][0]["content"]
    assert cut["length"] == len(hostile.LONG)
    whole = cut["cut"]
    while len(whole) < cut["length"] and len(whole) < 700_000:
        whole += served.ask("part", id="gen-long", path=json.dumps(cut["path"]), offset=len(whole))["text"]
    assert hostile.LONG.startswith(whole)
    text = served.client.get("/api/text", params={"id": "gen-long", "path": json.dumps(cut["path"])})
    assert text.text == hostile.LONG
    assert "attachment" in text.headers["content-disposition"]
    last = found["record"]["content"]["input"][-1]["parts"][0]["content"]
    assert last["path"] == ["content", "input", 450, "parts", 0, "content"]
    earlier = served.ask("call", id="gen-long", before=found["earlier"])
    assert earlier["earlier"] == 51
    assert earlier["messages"][-1]["parts"][0]["content"] == "question 250"
    raw = served.client.get("/api/text", params={"id": "gen-long", "path": '["$raw"]'}).json()
    assert raw["content"]["output"][0]["parts"][0]["content"] == hostile.LONG
    served.ask("part", 404, id="gen-long", path='["model", "x"]')
    served.ask("part", 404, id="gen-long", path='["content", "input", -1]')


def test_hostile_names_and_texts_pass_through_whole(serve: Serve) -> None:
    bad = hostile.hostile()
    served = serve([bad])
    (row,) = served.ask("calls")["rows"]
    assert (row["model"], row["provider"], row["user"]) == (hostile.SCRIPT, hostile.IMAGE, hostile.FORMULA)
    record = served.ask("call", id=row["key"])["record"]
    assert record["content"]["system"][0]["content"] == hostile.ALL
    assert served.ask("session", id=row["session"])["turns"][0]["key"] == row["key"]
    assert served.ask("sums", model=hostile.SCRIPT)["total"]["calls"] == 1
    for odd in ("../../etc/passwd", "%00", "\x00", "' OR 1=1 --", "a" * 20_000):
        assert "not in the ledger" in served.ask("call", 404, id=odd)["error"]
        served.ask("session", 404, id=odd)


def test_downloads_are_exact_and_whole(serve: Serve) -> None:
    costs = [COSTS[number % len(COSTS)] for number in range(2_300)]  # more than two pages
    served = serve([priced(number, cost) for number, cost in enumerate(costs)])
    total = exact([cost for cost in costs if cost is not None])
    for by_json in (False, True):
        answer = served.client.get(f"/download/calls.{'json' if by_json else 'csv'}", params=ALL)
        assert "attachment" in answer.headers["content-disposition"]
        rows: list[Any] = answer.json() if by_json else list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["key"] for row in rows] == [f"gen-{number}" for number in range(2_300)]
        assert sum(Decimal(row["cost"]) for row in rows if row["cost"]) == total
        assert rows[4]["cost"] == (None if by_json else "")
    groups = csv.DictReader(io.StringIO(served.client.get("/download/groups.csv", params={"by": "key", **ALL}).text))
    assert [(row["calls"], Decimal(row["cost"])) for row in groups] == [("2300", total)]
    sessions = served.client.get("/download/sessions.json", params=ALL).json()
    assert sum(each["calls"] for each in sessions) == 2_300
    assert sum(Decimal(each["cost"]) for each in sessions) == total
    assert served.client.get("/download/sessions.csv", params=ALL).text.startswith("id,user,began_at,last_at,calls,")
    filtered = served.client.get("/download/calls.json", params={"user": "u-3", **ALL}).json()
    assert {row["user"] for row in filtered} == {"u-3"}
    assert len(filtered) == 460
    assert serve([]).client.get("/download/calls.json").json() == []
    assert served.client.get("/download/calls.exe").status_code == 404


def test_a_spreadsheet_takes_no_text_for_a_formula(serve: Serve) -> None:
    users = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'plain, "quoted"\nline']
    spent = Cost(charged=-0.5, total=-0.5)
    records = [call(number, request=Request(user=user), cost=spent) for number, user in enumerate(users)]
    served = serve([*records, call(20, request=Request(user=None), tags=None)])
    rows = list(csv.DictReader(io.StringIO(served.client.get("/download/calls.csv", params=ALL).text, newline="")))
    assert [row["user"] for row in rows] == [*(f"'{user}" for user in users[:-1]), users[-1], ""]
    assert json.loads(served.client.get("/download/calls.json").content)[0]["user"] == "=1+1"


def test_without_a_ledger_it_waits_for_one(serve: Serve) -> None:
    served = serve()
    for what in ("sums", "series", "calls", "follow", "sessions"):
        assert served.ask(what) == {"missing": True}
    served.add(call(1))
    assert len(served.ask("calls")["rows"]) == 1


def test_a_damaged_ledger_is_said_to_be_one(serve: Serve, tmp_path: Any) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(b"no database " * 1000)
    assert "cannot be read" in serve(path=path).ask("calls", 503)["error"]


def test_about_names_the_keys(serve: Serve) -> None:
    served = serve([])
    assert served.ask("about")["labels"] == {"b" * 64: "staging"}
    assert served.ask("about")["ledger"] == str(served.path)
