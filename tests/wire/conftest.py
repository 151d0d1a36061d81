"""Hypothesis settings: few examples each, as there are many transcripts, and no deadline on shared machines."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "wire", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("wire")
