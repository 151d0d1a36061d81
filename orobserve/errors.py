"""The only errors that orobserve raises at its users: mistakes in what they configured, when they configure it."""

from __future__ import annotations

from orobserve.wire.redact import redact


class ConfigurationError(ValueError):
    """A setting cannot be used.

    The message names the setting, the value that was seen, what is allowed and how to mend it.
    """

    def __init__(self, setting: str, value: object, *, allowed: str, fix: str) -> None:
        """Compose the message."""
        self.setting = setting
        super().__init__(f"{setting}={redact(repr(value))} cannot be used. Allowed: {allowed}. Fix: {fix}")
