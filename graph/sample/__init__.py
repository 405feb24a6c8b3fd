"""A registry in memory, for the demo and the tests."""

from graph.sample.answers import Answer, Request
from graph.sample.registry import SampleRegistry

__all__ = ["Answer", "Request", "SampleRegistry"]
