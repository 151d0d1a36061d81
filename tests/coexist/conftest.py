"""Which environment has the other instrumentations."""

from __future__ import annotations

import os
from importlib.util import find_spec

# Under tox only the environment made for it runs these, and there a missing package is a failure.
ENVIRONMENT = os.environ.get("TOX_ENV_NAME") or ("coexist" if find_spec("logfire") else "main")
WITHOUT_OTHERS = {"main", "httpx"}

collect_ignore = ["test_others.py", "test_http_tracers.py"] if ENVIRONMENT in WITHOUT_OTHERS else []
