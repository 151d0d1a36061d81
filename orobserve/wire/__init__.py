"""OpenRouter's wire formats: bytes and headers in, a `Generation` out.

Everything here is pure: no I/O, no clock of its own, no HTTP library, no OpenTelemetry. One file per dialect.
"""
