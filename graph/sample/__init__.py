"""A registry in memory, for the demo and the tests."""

from graph.sample.answers import Answer, Request
from graph.sample.content import SAMPLE_REGISTRY_NAME, fill_sample, rebuild_v2
from graph.sample.registry import SampleRegistry

__all__ = ["SAMPLE_REGISTRY_NAME", "Answer", "Request", "SampleRegistry", "fill_sample", "rebuild_v2"]
