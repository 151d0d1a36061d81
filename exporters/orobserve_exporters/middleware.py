"""Middleware. It wants the account's key in the resource of the spans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from orobserve_exporters._otlp import Attributes


class Middleware(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "middleware"
    TITLE = "Middleware"
    FIELDS = (
        Field(
            name="base_url",
            help="address of the account, https://UID.middleware.io:443",
            required=True,
            env=("MW_TARGET",),
        ),
        Field(name="api_key", help="key of the account", required=True, secret=True, env=("MW_API_KEY",)),
        *GenAIExporter.FIELDS,
    )

    def resource(self) -> Attributes:
        """Return the account's key."""
        return {**super().resource(), "mw.account_key": self.config["api_key"]}
