"""Which URLs are inference calls of OpenRouter, and which look alike."""

from __future__ import annotations

import pytest

from orobserve.wire.route import Hosts, endpoint

OURS = Hosts()


@pytest.mark.parametrize(
    ("path", "api_type", "operation"),
    [
        ("/api/v1/chat/completions", "chat_completions", "chat"),
        ("/api/v1/completions", "completions", "text_completion"),
        ("/api/v1/responses", "responses", "chat"),
        ("/api/alpha/responses", "responses", "chat"),
        ("/api/v1/messages", "messages", "chat"),
        ("/api/v1/embeddings", "embeddings", "embeddings"),
        ("/api/v1/rerank", "rerank", "rerank"),
        ("/api/v1/images", "images", "generate_content"),
        ("/api/v1/audio/speech", "speech", "generate_content"),
        ("/api/v1/audio/transcriptions", "transcriptions", "transcription"),
        ("/api/v1/videos", "videos", "generate_content"),
        ("/api/beta/batches", "batches", "batch"),
        ("/api/v1/chat/completions/", "chat_completions", "chat"),
    ],
)
def test_inference(path: str, api_type: str, operation: str) -> None:
    route = OURS.route("POST", "openrouter.ai", None, path)
    assert route is not None
    assert (route.endpoint.api_type, route.endpoint.operation, route.endpoint.poll) == (api_type, operation, False)
    assert (route.host, route.port, route.path) == ("openrouter.ai", 443, path)


@pytest.mark.parametrize(
    ("path", "api_type"),
    [("/api/v1/videos/job-1", "videos"), ("/api/beta/batches/batch_1", "batches")],
)
def test_polls(path: str, api_type: str) -> None:
    route = OURS.route("GET", "openrouter.ai", None, path)
    assert route is not None
    assert (route.endpoint.api_type, route.endpoint.poll) == (api_type, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/presets/mine/chat/completions"),
        ("POST", "/api/v1/presets/mine/messages"),
        ("POST", "/api/v1/presets/mine/responses"),
        ("POST", "/api/v1/presets"),
        ("GET", "/api/v1/videos/job-1/content"),
        ("GET", "/api/v1/videos/models"),
        ("GET", "/api/v1/videos"),
        ("GET", "/api/v1/images/models"),
        ("GET", "/api/v1/embeddings/models"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/models/openai/gpt-4o/endpoints"),
        ("GET", "/api/v1/generation"),
        ("GET", "/api/v1/generation/content"),
        ("POST", "/api/v1/generation/feedback"),
        ("GET", "/api/v1/key"),
        ("GET", "/api/v1/chat/completions"),
        ("PUT", "/api/v1/chat/completions"),
        ("OPTIONS", "/api/v1/chat/completions"),
        ("HEAD", "/api/v1/videos/job-1"),
        ("DELETE", "/api/beta/batches/batch_1"),
        ("POST", "/api/beta/batches/batch_1/cancel"),
        ("POST", "/api/v1/messages/batches"),
        ("POST", "/api/v1/messages/count_tokens"),
        ("POST", "/api/v1/chat"),
        ("POST", "/api/v1/"),
        ("POST", "/"),
        ("POST", ""),
        ("GET", "/"),
        ("POST", "/chat/completions"),
        ("POST", "/docs/api/v1/chat/completions"),
        ("POST", "/api/v1/CHAT/COMPLETIONS"),
    ],
)
def test_other_calls(method: str, path: str) -> None:
    assert OURS.route(method, "openrouter.ai", None, path) is None


@pytest.mark.parametrize("host", ["openrouter.ai", "eu.openrouter.ai", "us.openrouter.ai", "a.b.openrouter.ai"])
def test_our_hosts(host: str) -> None:
    assert OURS.know(host)
    assert OURS.route("POST", host, 8443, "/api/v1/messages").port == 8443


@pytest.mark.parametrize(
    "host",
    ["openrouter.ai.evil.com", "notopenrouter.ai", "openrouter.com", "openrouter.ai.", "ai", "", "api.openai.com"],
)
def test_lookalikes(host: str) -> None:
    assert not OURS.know(host)


@pytest.mark.parametrize(("tls", "port"), [(True, 443), (False, 80)])
def test_default_ports(tls: bool, port: int) -> None:
    assert OURS.route("POST", "openrouter.ai", None, "/api/v1/messages", tls=tls).port == port


@pytest.mark.parametrize(
    ("given", "host", "port", "path", "fits"),
    [
        ("gateway.test", "gateway.test", None, "/chat/completions", True),
        ("gateway.test", "gateway.test", 9000, "/any/prefix/chat/completions", True),
        ("gateway.test:8080", "gateway.test", 8080, "/v1/chat/completions", True),
        ("gateway.test:8080", "gateway.test", None, "/v1/chat/completions", False),
        ("https://gateway.test/or", "gateway.test", None, "/or/chat/completions", True),
        ("https://gateway.test/or/", "gateway.test", None, "/or/chat/completions", True),
        ("https://gateway.test/or", "gateway.test", None, "/openai/chat/completions", False),
        ("https://gateway.test/or", "gateway.test", None, "/oracle/chat/completions", False),
        ("https://gateway.test:8443/a/b", "gateway.test", 8443, "/a/b/responses", True),
        ("GATEWAY.test", "gateway.test", None, "/responses", True),
        ("[::1]:8080", "::1", 8080, "/api/v1/responses", True),
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, "/api/v1/responses", True),
        ("gateway.test", "gateway.test", None, "/presets/x/chat/completions", False),
        ("gateway.test", "gateway.test", None, "/models", False),
        ("gateway.test", "other.test", None, "/api/v1/responses", False),
    ],
)
def test_hosts_of_the_user(given: str, host: str, port: int | None, path: str, fits: bool) -> None:
    hosts = Hosts([given])
    assert hosts.know("openrouter.ai")
    found = hosts.route("POST", host, port, path) if hosts.know(host) else None
    assert (found is not None) is fits


def test_one_host_with_two_bases() -> None:
    hosts = Hosts(["gateway.test:1/a", "gateway.test:2/b"])
    assert hosts.route("POST", "gateway.test", 1, "/a/messages")
    assert hosts.route("POST", "gateway.test", 2, "/b/messages")
    assert hosts.route("POST", "gateway.test", 1, "/b/messages") is None


@pytest.mark.parametrize("given", ["", "   ", "https://", "/only/a/path", "two hosts", "host:port", "host:99999"])
def test_hosts_must_name_a_host(given: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Hosts([given])


def test_endpoints_are_remembered() -> None:
    assert endpoint("POST", "/api/v1/messages") is endpoint("POST", "/api/v1/messages")


def test_many_paths_take_no_memory() -> None:
    hosts = Hosts()
    for job in range(2000):
        assert hosts.route("GET", "openrouter.ai", None, f"/api/v1/videos/job-{job}").endpoint.poll
    assert len(hosts._routes) < 2000
