"""A faithful OpenRouter on the loopback interface, for demonstrations and tests without a key or a network.

It speaks every inference endpoint with real shapes, exact bills and all the ways in which things go wrong. It imports
nothing of the rest of the library and needs only the standard library.
"""

from orobserve.testing.account import Account
from orobserve.testing.calls import Call
from orobserve.testing.presets import SCENARIOS
from orobserve.testing.scenarios import Attempt, Failure, Framing, Scenario, ToolCall
from orobserve.testing.simulator import Simulator

__all__ = ["SCENARIOS", "Account", "Attempt", "Call", "Failure", "Framing", "Scenario", "Simulator", "ToolCall"]
