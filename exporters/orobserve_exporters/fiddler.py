"""Fiddler: spans of an application, with the conversation as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve.generation import Text
from orobserve_exporters._details import metadata
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Content, Generation, Part
    from orobserve_exporters._otlp import Attributes


class Fiddler(GenAIExporter):
    """Generations as spans of the type `llm`, named parents as chains."""

    TYPE = "fiddler"
    TITLE = "Fiddler"
    FIELDS = (
        Field(name="base_url", help="address of the instance", required=True, env=("FIDDLER_URL",)),
        Field(name="api_key", help="API key", required=True, secret=True, env=("FIDDLER_API_KEY",)),
        Field(
            name="application_id",
            help="UUID of the application",
            required=True,
            env=("FIDDLER_APPLICATION_ID",),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key and the application."""
        return {
            "authorization": f"Bearer {self.config['api_key']}",
            "fiddler-application-id": self.config["application_id"],
        }

    def resource(self) -> Attributes:
        """Return the application."""
        return {**super().resource(), "application.id": self.config["application_id"]}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions and Fiddler's own."""
        said = _said(generation.content) if generation.content else {}
        return {**super().attributes(generation), **said, **_session(generation), "fiddler.span.type": "llm"}

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return user, session and metadata."""
        chain = {"fiddler.span.type": "chain"}
        return {**super().parent_attributes(generation, name), **_session(generation), **chain}


def _said(content: Content) -> Attributes:
    """Return the system's words, the user's last ones, and the answer; texts only."""
    asked = [message for message in content.input if message.role == "user"]
    systems = [part for message in content.input if message.role == "system" for part in message.parts]
    return {
        "gen_ai.llm.input.system": _text((*content.system, *systems)),
        "gen_ai.llm.input.user": _text(asked[-1].parts) if asked else None,
        "gen_ai.llm.output": _text([part for message in content.output for part in message.parts]),
    }


def _text(parts: Sequence[Part]) -> str | None:
    return "\n".join(part.content for part in parts if isinstance(part, Text)) or None


def _session(generation: Generation) -> Attributes:
    found = {**metadata(generation), "user_id": generation.request.user}
    return {f"fiddler.session.user.{key}": value for key, value in found.items()}
