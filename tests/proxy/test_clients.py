"""The vendors' SDKs through the proxy, knowing nothing but its address."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.generation import Outcome
from orobserve.testing import Failure, Framing, Scenario
from tests.delivery.servers import CERTIFICATE
from tests.proxy.origin import connect, read, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from orobserve.testing import Simulator
    from tests.proxy.conftest import Running

TURN: list[Any] = [{"role": "user", "content": "hello there"}]
SAID = {"X-Orobserve-User": "ada", "X-Orobserve-Tags": "sdk"}


@pytest.fixture
def running(sim: Simulator, start: Callable[..., Running]) -> Running:
    sim.default = Scenario(text="one two three", framing=Framing(comments=3, comments_between=1, write_size=7))
    return start(sim.root)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_openai(streamed: bool, running: Running, sim: Simulator, records: Callable[[], list[Generation]]) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{running.url}/api/v1", api_key="sk-or-v1-x", default_headers=SAID) as client:
        if streamed:
            with client.chat.completions.create(model="openai/gpt-4o", messages=TURN, stream=True) as chunks:
                said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        else:
            said = client.chat.completions.create(model="openai/gpt-4o", messages=TURN).choices[0].message.content
        assert client.responses.create(model="openai/gpt-4o", input="hi").output_text
    running.stop()
    assert said == "one two three"
    assert [record.outcome for record in records()] == [Outcome.COMPLETE] * 2
    assert {record.request.user for record in records()} == {"ada"}
    assert sum(record.cost.total for record in records()) == pytest.approx(float(sim.bill))


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_anthropic(streamed: bool, running: Running, records: Callable[[], list[Generation]]) -> None:
    anthropic = pytest.importorskip("anthropic")
    with anthropic.Anthropic(base_url=f"{running.url}/api", api_key="sk-or-v1-x", default_headers=SAID) as client:
        call = {"model": "anthropic/claude-sonnet-4", "max_tokens": 100, "messages": TURN}
        if streamed:
            with client.messages.stream(**call) as stream:
                said = "".join(stream.text_stream)
        else:
            said = client.messages.create(**call).content[0].text
    running.stop()
    assert said == "one two three"
    (record,) = records()
    assert (record.api_type, record.outcome, record.request.user) == ("messages", Outcome.COMPLETE, "ada")


def test_errors_of_ours_are_errors_to_the_sdks(start: Callable[..., Running]) -> None:
    openai, anthropic = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    running = start("http://127.0.0.1:9")
    with openai.OpenAI(base_url=f"{running.url}/api/v1", api_key="k", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError, match="no connection to") as caught:
            client.chat.completions.create(model="a/b", messages=TURN)
        assert caught.value.code == "upstream_unreachable"
    with (
        anthropic.Anthropic(base_url=f"{running.url}/api", api_key="k", max_retries=0) as client,
        pytest.raises(anthropic.InternalServerError, match="no connection to"),
    ):
        client.messages.create(model="a/b", max_tokens=1, messages=TURN)


def test_a_retry_is_a_call_of_its_own(
    running: Running, sim: Simulator, records: Callable[[], list[Generation]]
) -> None:
    openai = pytest.importorskip("openai")
    sim.next(Scenario(error=Failure(error_type="rate_limit_exceeded", retry_after=0)))
    with openai.OpenAI(base_url=f"{running.url}/api/v1", api_key="k", max_retries=1) as client:
        client.chat.completions.create(model="openai/gpt-4o", messages=TURN)
    running.stop()
    assert [record.outcome for record in records()] == [Outcome.FAILED, Outcome.COMPLETE]


def test_a_client_in_this_process_is_not_seen_twice(
    sim: Simulator, start: Callable[..., Running], records: Callable[[], list[Generation]]
) -> None:
    """The proxy's own connections are those of no client library, so nothing that is patched sees them."""
    import orobserve

    running = start(sim.root)
    orobserve.instrument(hosts=[sim.root])
    running.ask(request(headers=["Authorization: Bearer k"], body=b'{"model": "openai/gpt-4o", "messages": []}'))
    running.stop()
    assert len(records()) == 1


def test_tls_to_the_client(sim: Simulator, start: Callable[..., Running]) -> None:
    running = start(sim.root, tls_cert=str(CERTIFICATE), tls_key=str(CERTIFICATE))
    assert running.url.startswith("https://")
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    with connect(running.port) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as sock:
        sock.sendall(request("GET", "/healthz"))
        assert read(sock).status == 200
