"""What `orobserve reconcile` tells machines. It asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve import reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from orobserve.account import Credits
    from orobserve.reconcile import Comparison, Figures, Finding

_OURS = ("errors", "unpriced")  # figures that OpenRouter does not tell
_FIGURES = ("calls", *_OURS, "input_tokens", "output_tokens", "cost")


def as_json(
    compared: Sequence[Comparison], findings: Sequence[Finding], credits_: Credits, tolerance: Decimal
) -> dict[str, Any]:
    """Return what was found for machines: USD, exact; None is unknown, or not there."""
    return {
        "tolerance": tolerance,
        "models": [
            {
                "model": each.model,
                "ledger": _figures(each.ours),
                "openrouter": _figures(each.theirs),
                "difference": each.difference,
                "reasons": each.reasons(tolerance),
            }
            for each in compared
        ],
        "ledger": _figures(reconcile.total(each.ours for each in compared)),
        "openrouter": _figures(reconcile.total(each.theirs for each in compared)),
        "calls": [
            {
                "generation_id": each.call.generation_id,
                "status": each.status,
                "ledger": each.call.cost,
                "openrouter": each.cost,
            }
            for each in findings
        ],
        "credits": {"total": credits_.total, "used": credits_.used},
    }


def _figures(figures: Figures | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {name: getattr(figures, name) for name in _FIGURES}


def flat(found: Comparison, tolerance: Decimal) -> dict[str, Any]:
    """Return a line of CSV: OpenRouter's figures after the ledger's."""
    theirs = {f"openrouter_{name}": getattr(found.theirs, name, None) for name in _FIGURES if name not in _OURS}
    return {
        "model": found.model,
        **{name: getattr(found.ours, name, None) for name in _FIGURES},
        **theirs,
        "difference": found.difference,
        "reasons": found.reasons(tolerance),
    }
