"""A registry in memory, for the demo and the tests."""
