"""Decides who must hear of an event. Pure: a function of the event and the configuration version."""

from andon.routing.explain import Explanation, explain
from andon.routing.mistakes import check
from andon.routing.router import Router, RoutingStage

__all__ = ["Explanation", "Router", "RoutingStage", "check", "explain"]
