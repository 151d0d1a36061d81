"""`python -m orobserve`."""

from __future__ import annotations

import sys

from orobserve.cli.main import main

sys.exit(main())
