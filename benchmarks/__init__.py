"""Programs that measure ocigraph; each prints a table for docs/benchmarks.md, where they are explained."""
