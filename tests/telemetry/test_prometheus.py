"""What Prometheus fetches: names, exemplars, and the port, in one process and in several."""

from __future__ import annotations

import os
import random
import socket
import threading
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import orobserve
from orobserve import config
from orobserve.generation import Attempt, Cost, Request, Routing, Stream, Trace, Usage
from orobserve.telemetry.metrics import Metrics
from orobserve.telemetry.prometheus import Provider
from tests.scripts.programs import CALL, Receiver, run_program
from tests.support.programs import free_ports
from tests.telemetry.calls import ANSWER, call, record
from tests.telemetry.test_metrics import STREAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.samples import Sample

    from tests.conftest import Telemetry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
LIMIT = 20  # of values; three times as many sets of them


@pytest.fixture
def port() -> Iterator[int]:
    yield free_ports(1)[0]
    orobserve.uninstrument()


def parsed(text: bytes) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]


def scrape(port: int) -> list[Sample]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": OPENMETRICS})
    with urllib.request.urlopen(asked) as answer:
        return parsed(answer.read())


def told(provider: Provider) -> list[Sample]:
    return parsed(provider.answer(OPENMETRICS)[0])


def calls(samples: list[Sample]) -> float:
    return sum(sample.value for sample in samples if sample.name == "gen_ai_client_operation_duration_seconds_count")


def test_names_and_values_are_those_of_opentelemetrys_exporter() -> None:
    registry, ours = CollectorRegistry(), Provider()
    theirs = MeterProvider(
        [PrometheusMetricReader(scope_info_enabled=False, registry=registry)], shutdown_on_exit=False
    )
    usage = Usage(input_tokens=10, output_tokens=4, cache_read_input_tokens=3, web_search_requests=2)
    tried = Routing(attempts=(Attempt(provider="A", status=502), Attempt(provider="B")))
    cost = Cost(charged=0.1, upstream=0.2, total=0.3, is_byok=True, cache_discount=-0.05)
    streamed = record(usage=usage, cost=cost, routing=tried, provider="B", timing=STREAMED, stream=Stream())
    for provider in (ours, theirs):
        known = Metrics(provider, config.load({"cost_histogram": True}), held=lambda: 3)
        known.record(streamed)
        known.record(record())
        known.settle("complete", 1.5)
        known.drop("generation", "queue_full", destination="d")

    def facts(samples: Any) -> set[Any]:
        found = set()
        for sample in samples:
            labels = {name: value for name, value in sample.labels.items() if value}
            if "le" in labels:
                labels["le"] = float(labels["le"])
            found.add((sample.name, frozenset(labels.items()), sample.value))
        return {fact for fact in found if fact[0] != "target_info"}  # which names the instance

    expected = facts(sample for family in registry.collect() for sample in family.samples)
    assert len(expected) > 100
    assert facts(told(ours)) == expected
    theirs.shutdown()


def test_a_port_with_exemplars_that_lead_to_the_trace(port: int, telemetry: Telemetry) -> None:
    telemetry.instrument(meter_provider=None, prometheus_port=port)
    call()
    found = scrape(port)
    span = telemetry.span.context
    ids = {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
    for name, value in (("openrouter_client_cost_USD_total", 0.25), ("gen_ai_client_token_usage_bucket", 10.0)):
        exemplars = [each.exemplar for each in found if each.name == name and each.exemplar]
        assert (exemplars[0].labels, exemplars[0].value) == (ids, value)
    assert not any(each.exemplar for each in scrape(port)), "each is told once: Prometheus keeps them"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}") as answer:  # as by a browser, or curl
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b'openrouter_cost_kind="charged"' in answer.read()


def test_exemplars_are_of_sampled_calls_only(port: int) -> None:
    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("app").start_as_current_span("outer"):
        orobserve.instrument(prometheus_port=port, tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
        call()
    found = scrape(port)
    assert calls(found) == 1
    assert not any(each.exemplar for each in found)


def test_settings_anew_keep_the_port_and_the_counts(port: int) -> None:
    orobserve.instrument(prometheus_port=port)
    call()
    orobserve.instrument(prometheus_port=port, metric_tags=["team"])
    call(trace={"team": "search"})
    found = scrape(port)
    assert calls(found) == 2
    assert len(found) == len({(each.name, frozenset(each.labels.items())) for each in found})
    assert {each.labels.get("openrouter_tag_team") for each in found} == {None, "search"}
    orobserve.instrument()
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_port_that_is_taken_is_said_once_and_hurts_nobody(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", port)):
        orobserve.instrument(prometheus_port=port)
        assert call().json() == ANSWER
        assert call().json() == ANSWER
    (said,) = caplog.messages
    assert f"process {os.getpid()}: no listening on 127.0.0.1:{port} ([Errno " in said


def test_who_connects_and_says_nothing_costs_few_threads_and_no_word(
    port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orobserve.telemetry.port._Handler.timeout", 0.2)
    orobserve.instrument(prometheus_port=port, console=False)
    call()
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(40)]
    idle[-1].recv(1)  # the last of them has been looked at, and sent away
    assert threading.active_count() <= before + 20
    assert not idle[0].recv(1)
    for one in idle:
        one.close()
    assert calls(scrape(port)) == 1
    assert not capfd.readouterr().err


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"])
def test_an_address_that_is_none_hurts_nobody(host: str, port: int, caplog: pytest.LogCaptureFixture) -> None:
    orobserve.instrument(prometheus_port=port, prometheus_host=host)
    assert call().json() == ANSWER
    assert f"no listening on {host}:{port}" in caplog.text


def test_a_provider_of_the_applications_own(port: int, telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    metrics.set_meter_provider(telemetry.meter_provider)
    orobserve.instrument(prometheus_port=port)
    call()
    assert "the application's own MeterProvider does not get them" in caplog.text
    assert calls(scrape(port)) == 1
    assert not telemetry.metrics
    with pytest.raises(orobserve.ConfigurationError, match="leave out one of them"):
        telemetry.instrument(prometheus_port=port)


def test_without_its_package(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "orobserve.telemetry.prometheus")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(orobserve.ConfigurationError, match=r"pip install 'orobserve\[prometheus\]'"):
        orobserve.instrument(prometheus_port=port)


def test_the_standard_variables_open_it_at_the_first_call(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_PORT", str(port))
    orobserve.instrument()
    with pytest.raises(OSError, match="refused"):
        scrape(port)
    call()
    assert calls(scrape(port)) == 1


def test_prometheus_and_otlp_at_once_with_the_temporality_that_is_asked_for(port: int) -> None:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    source = f"import httpx, orobserve\norobserve.instrument(prometheus_port={port})\n{CALL}\ncall(httpx)\n"
    source += f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}').read().decode())"
    with Receiver() as receiver:
        wanted = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"}
        done = run_program(source, env={**receiver.env, **wanted})
    sent = [ExportMetricsServiceRequest.FromString(body) for body in receiver.of("/v1/metrics")]
    scopes = [scope for each in sent for resource in each.resource_metrics for scope in resource.scope_metrics]
    (cost,) = [each for scope in scopes for each in scope.metrics if each.name == "openrouter.client.cost"]
    assert (cost.sum.aggregation_temporality, cost.sum.data_points[0].as_double) == (1, 0.5)
    assert cost.sum.data_points[0].exemplars[0].trace_id == receiver.spans[0].trace_id
    assert "openrouter_client_cost_USD_total" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_leaves_the_port_to_its_parent_and_takes_it_after_it(port: int) -> None:
    source = f"""
        import os, sys, urllib.request, httpx, orobserve
        {CALL.replace(chr(10), chr(10) + "        ")}
        orobserve.instrument(prometheus_port={port})
        told, tell = os.pipe()
        if os.fork() == 0:
            os.read(told, 1)
            call(httpx)
            print(urllib.request.urlopen("http://127.0.0.1:{port}").read().decode(), flush=True)
            os._exit(0)
        call(httpx)
        assert b"_USD_total" in urllib.request.urlopen("http://127.0.0.1:{port}").read()
        orobserve.uninstrument()
        os.write(tell, b"!")
        assert os.wait()[1] == 0
    """
    assert "openrouter_client_cost_USD_total" in run_program(source).stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_that_is_forked_during_a_scrape_can_count() -> None:
    source = """
        import os, threading
        from orobserve.telemetry.prometheus import Provider
        provider, begun, go_on = Provider(), threading.Event(), threading.Event()
        meter = provider.get_meter("m")
        counter = meter.create_counter("calls")
        counter.add(1)
        forked = []
        def look(_options):
            begun.set()
            forked.append(go_on.wait(0.2))  # while this thread scrapes, the other wants to fork
            return []
        meter.create_observable_gauge("slow", [look])
        scrape = threading.Thread(target=provider.answer)
        scrape.start()
        begun.wait()
        child = os.fork()
        go_on.set()
        if child == 0:
            counter.add(1)
            print(provider.answer()[0].decode(), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        scrape.join()
        assert forked == [False]
    """
    assert "calls_total 2.0" in run_program(source).stdout


def test_hostile_names_are_only_names() -> None:
    provider = Provider()
    names = ['a"b', "back\\slash", "two\nlines", "\x1b[31mred", "half \ud800 pair", "\u202eright", "# EOF", "x" * 10**6]
    known = Metrics(provider, config.Config())
    for name in names:
        known.record(record(model=name, provider=name))
    models = {each.labels.get("gen_ai_response_model", "") for each in told(provider)}
    assert models >= {'a"b', "back\\slash", "two\nlines", "\x1b[31mred", "half ? pair", "\u202eright", "# EOF"}
    assert max(map(len, models)) == 128


def test_fifty_thousand_names_stay_below_the_cap() -> None:
    provider, chance, total = Provider(), random.Random(7), 0.0
    known = Metrics(provider, config.load({"metric_limit": LIMIT, "metric_tags": ["team", "user"]}))

    def anything(kind: str) -> str:
        return f"{kind}-{chance.randrange(10**9)}"

    for _ in range(50_000):
        user = anything("user")
        asked = Request(model=anything("asked"), user=user, session_id=user, trace=Trace(metadata={"user": user}))
        tried = Routing(attempts=(Attempt(provider=anything("tried"), status=chance.randrange(600)), Attempt()))
        cost = Cost(charged=chance.random(), total=0.0, is_byok=False)
        total += cost.charged or 0
        names = {"model": anything("served"), "provider": f"p-{chance.randrange(50)}", "tags": {"team": anything("t")}}
        known.record(record(request=asked, cost=cost, routing=tried, usage=Usage(input_tokens=1), **names))
    found = told(provider)
    sets = [each for each in found if each.name == "gen_ai_client_operation_duration_seconds_count"]
    assert 2 * LIMIT < len(sets) <= 3 * LIMIT + 1
    labels = {(each.name, name, value) for each in found for name, value in each.labels.items()}
    for place, count in Counter((metric, name) for metric, name, _ in labels if name != "le").items():
        assert count <= LIMIT + 1, place
    series = [each for each in found if not each.name.startswith("target")]
    assert len(series) <= (3 * LIMIT + 1) * 40
    sums = {name: sum(each.value for each in found if each.name == name) for name in {each.name for each in found}}
    assert calls(found) == sums["openrouter_client_fallbacks_total"] == 50_000
    assert sums["gen_ai_client_token_usage_sum"] == 50_000
    assert sums["openrouter_client_cost_USD_total"] == pytest.approx(total, rel=1e-12)
