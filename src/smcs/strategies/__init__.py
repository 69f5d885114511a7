"""Ways to answer a question with the LLMs of a pool.

A strategy is an async function of a query, resources, settings and a trace; it calls LLMs only through a `Caller`, so
caps, events and the record come with it.
"""

from smcs.strategies.calls import Resources, Strategy
from smcs.strategies.estimate import CallEstimate, LLMCalls, estimate
from smcs.strategies.guard import Guard
from smcs.strategies.prompts import Prompts
from smcs.strategies.registry import STRATEGIES, Need, StrategySpec, check_strategy, find_strategy, strategy
from smcs.strategies.settings import PROFILES, ProfileName, Settings, profile

__all__ = (
    "PROFILES",
    "STRATEGIES",
    "CallEstimate",
    "Guard",
    "LLMCalls",
    "Need",
    "ProfileName",
    "Prompts",
    "Resources",
    "Settings",
    "Strategy",
    "StrategySpec",
    "check_strategy",
    "estimate",
    "find_strategy",
    "profile",
    "strategy",
)
