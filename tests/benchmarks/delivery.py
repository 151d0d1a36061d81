"""What five destinations take, one of them dead: `python tests/benchmarks/delivery.py --help`.

Real sockets on the loopback interface, real payloads, default settings; the servers run in this process too.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # the tests' own servers and samples

from dataclasses import replace

from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve_exporters.webhook import Webhook
from tests.delivery.servers import Server, free_port
from tests.exporters.generations import CHAT

_MEGABYTE = 1024  # of what getrusage counts in


def measure(number: int) -> dict[str, Any]:
    """Send so many generations and return the figures."""
    records = [replace(CHAT, id=f"gen-{n}", span_id=f"{n + 1:016x}") for n in range(number)]
    lost: Counter[str] = Counter()
    with Server() as one, Server() as two, Server() as three, Server() as four:
        urls = [one.url, two.url, free_port(), three.url, four.url]
        made = [
            Destination(
                f"webhook-{n}", Webhook({"url": url, "method": "POST", "service_name": "app"}), lambda given: given
            )
            for n, url in enumerate(urls)
        ]
        hub = Hub(made, on_drop=lambda name, _reason, count: lost.update({name: count}))
        start, own = time.perf_counter(), time.thread_time()
        for record in records:
            hub.offer(record)
        offered, own = time.perf_counter() - start, time.thread_time() - own
        for alive in (made[0], made[1], made[3], made[4]):
            alive.wait(alive.hurry(), time.monotonic() + 600)
        took = time.perf_counter() - start
        hub.close(2)
        arrived = [
            sum(request.body.count(b'"gen-') > 0 for request in server.requests) for server in (one, two, three, four)
        ]
        delivered = [state.delivered for state in hub.states()]
    return {
        "generations": number,
        "delivered": delivered,
        "requests": arrived,
        "lost": dict(lost),
        "seconds": round(took, 2),
        "generations_per_second": round(number / took),
        "offer_us_wall": round(offered / number * 1e6, 2),
        "offer_us_own_thread": round(own / number * 1e6, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE),
    }


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=10_000)
    print(json.dumps(measure(parser.parse_args().generations), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
