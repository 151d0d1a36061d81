"""A folder for PYTHONPATH: its `sitecustomize` instruments every Python process of `orobserve run`."""

from __future__ import annotations

from pathlib import Path

FOLDER = str(Path(__file__).parent)
RECORDS = "_OROBSERVE_RUN_RECORDS"  # no setting: the file that processes add a line per call to
WAIT = 3.0  # seconds that a process waits, at its end, for OpenRouter's records of its last calls
