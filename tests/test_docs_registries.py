"""The table of docs/registries.md is what the dialects declare."""

import inspect
from pathlib import Path

from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects import DIALECTS

REGISTRIES = Path(__file__).parent.parent / "docs" / "registries.md"

COLUMNS = {
    Capability.CATALOG: "repositories",
    Capability.UNTAGGED_LISTING: "untagged",
    Capability.TAG_DIGESTS: "digests of tags",
    Capability.PUSH_TIME: "push times",
    Capability.LOCKS: "locks",
    Capability.REFERRERS: "referrers",
    Capability.EVENTS: "events",
}
WORDS = {
    CapabilityState.SUPPORTED: "yes",
    CapabilityState.UNKNOWN: "if it answers",
    CapabilityState.UNSUPPORTED: "no",
}


def render_dialects() -> str:
    """One line for each dialect: the first of its docstring, its name, and what it declares."""
    lines = [["registry", "`dialect`", *COLUMNS.values()], ["---"] * (2 + len(COLUMNS))]
    for dialect in DIALECTS:
        vendor = (inspect.getdoc(dialect) or "").splitlines()[0].removesuffix(".")
        states = [WORDS[dialect.capabilities[capability]] for capability in COLUMNS]
        lines.append([vendor, f"`{dialect.name}`", *states])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def test_registries_are_documented() -> None:
    """docs/registries.md holds the table that the dialects give, word for word."""
    table = [line for line in REGISTRIES.read_text().splitlines() if line.startswith("|")]

    assert render_dialects() == "\n".join(table)


def test_every_capability_has_a_column() -> None:
    """A capability that is added is told in the table."""
    assert set(Capability) == set(COLUMNS)


def test_every_dialect_is_told_apart() -> None:
    """No two dialects have one name, or one line about the vendor."""
    names = [dialect.name for dialect in DIALECTS]
    vendors = [inspect.getdoc(dialect) for dialect in DIALECTS]

    assert (len(DIALECTS), len(DIALECTS)) == (len(set(names)), len(set(vendors)))
