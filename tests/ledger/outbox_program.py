"""A process with a ledger and a webhook, told what to do line by line: `python outbox_program.py PATH URL SECONDS`.

SECONDS: how far its clock is ahead of the first process's. Commands: `call FIRST LAST`, `pass SECONDS`, `flush`,
`close`; each is answered with a line when it is done.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from orobserve.delivery.destination import Destination
from orobserve.delivery.hub import Hub
from orobserve.delivery.sender import Sender
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from orobserve.receivers import Receivers
from orobserve_exporters.webhook import Webhook
from tests.delivery.clocks import VirtualClock
from tests.ledger.records import call


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(path: Path, url: str, ahead: float) -> None:
    """Obey."""
    clock = VirtualClock()
    clock.seconds += ahead
    ledger = Ledger(path, Keep(), clock=clock)
    exporter = Webhook({"url": url, "method": "POST", "headers": {}})
    destination = Destination("hook", exporter, lambda given: given, sender=Sender(clock=clock), clock=clock)
    receivers = Receivers(ledger, Hub([destination], clock=clock))
    workers = (ledger._worker, destination._worker)
    ledger.start()
    say("ready")
    for line in sys.stdin:
        command, *given = line.split()
        if command == "call":
            for number in range(*map(int, given)):
                receivers.offer(call(number))
            assert ledger.flush(30)
        elif command == "pass":
            until = clock.seconds + float(given[0])
            while clock.seconds < until:
                clock.step(30.0, lambda: [each._thread for each in workers if each._thread is not None])
        elif command == "flush":
            assert receivers.flush(30)
        else:
            receivers.close(5.0)
        say(command)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
