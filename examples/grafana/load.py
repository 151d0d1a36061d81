"""Calls for the dashboards to show: an application with two teams, against a simulated OpenRouter, until it is stopped.

`python load.py` makes one call every 1.5 seconds; `--calls N --pause SECONDS` ends after N of them and prints the bill.
"""

import argparse
import random
import time

import httpx

import orobserve
from orobserve.testing import Attempt, Failure, Scenario, Simulator

MODELS = {
    "openai/gpt-4o": ("OpenAI", "Azure"),
    "anthropic/claude-sonnet-4": ("Anthropic", "Amazon Bedrock"),
    "google/gemini-2.5-flash": ("Google",),
    "meta-llama/llama-3.3-70b-instruct": ("DeepInfra", "Together"),
}


def scenario(chance: random.Random, providers: tuple[str, ...]) -> Scenario:
    """Decide what becomes of a call."""
    if chance.random() < 0.04:
        kind = chance.choice(["rate_limit_exceeded", "provider_unavailable", "timeout"])
        return Scenario(error=Failure(error_type=kind))
    prompt = chance.randrange(400, 6000)
    failed = (Attempt(provider="Nebius", status=503),) if chance.random() < 0.05 else ()
    return Scenario(
        provider=providers[0] if chance.random() < 0.85 else providers[-1],
        failed_attempts=failed,
        prompt_tokens=prompt,
        cached_tokens=int(prompt * 0.8) if chance.random() < 0.6 else 0,
        completion_tokens=chance.randrange(20, 900),
        first_delay=chance.uniform(0.1, 0.9),
        chunk_delay=0.02,
    )


def call(chance: random.Random, simulator: Simulator, http: httpx.Client) -> None:
    """Make one call."""
    model, providers = chance.choice(list(MODELS.items()))
    team = chance.choice(["search", "support", "support"])
    simulator.next(scenario(chance, providers))
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "Where is my parcel?"}]}
    session = f"{team}-{int(time.time()) // 600}"
    about = {"user": f"{team}-{chance.randrange(5)}", "session_id": session, "tags": [team], "metadata": {"team": team}}
    with orobserve.context(**about), http.stream("POST", "chat/completions", json=body) as response:
        for _ in response.iter_lines():
            pass


def main() -> None:
    """Make calls."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--calls", type=int, default=0, help="how many (default: without end)")
    options.add_argument("--pause", type=float, default=1.5, help="seconds between them")
    given = options.parse_args()
    chance = random.Random(4)
    headers = {"Authorization": "Bearer sk-or-v1-example-of-the-simulator"}
    with Simulator() as simulator, httpx.Client(base_url=f"{simulator.url}/", headers=headers, timeout=60) as http:
        orobserve.instrument(hosts=[simulator.root])
        made = 0
        while not given.calls or made < given.calls:
            call(chance, simulator, http)
            made += 1
            time.sleep(given.pause)
        orobserve.flush(30, records=True)
        print(f"{made} calls, bill {simulator.bill} USD")


if __name__ == "__main__":
    main()
