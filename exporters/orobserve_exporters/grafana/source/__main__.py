"""Writes what is shipped: `python -m orobserve_exporters.grafana.source [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orobserve_exporters.grafana.source import alerts, render
from orobserve_exporters.grafana.source.cache import CACHE
from orobserve_exporters.grafana.source.calls import CALLS
from orobserve_exporters.grafana.source.performance import PERFORMANCE
from orobserve_exporters.grafana.source.routing import ROUTING
from orobserve_exporters.grafana.source.spend import SPEND
from orobserve_exporters.grafana.source.traces import TRACES
from orobserve_exporters.grafana.source.trust import TRUST

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBJECTS = (SPEND, PERFORMANCE, CACHE, ROUTING, CALLS, TRUST, TRACES)


def files() -> Iterator[tuple[str, str]]:
    """Yield the path of every file and what is in it."""
    for name in render.BACKENDS:
        for subject in SUBJECTS:
            found = render.rendered(subject, name)
            if found is not None:
                yield f"dashboards/{name}/{subject.name}.json", found
    yield from alerts.files()


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent
    for name, text in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
