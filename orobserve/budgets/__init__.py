"""Budgets: who is told, once, when so much has been spent. They never block, delay or refuse a call."""

from orobserve.budget_settings import Budget
from orobserve.budgets.alert import Alert

__all__ = ["Alert", "Budget"]
