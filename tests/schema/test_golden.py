"""Whole answers, reviewed by eye: golden/NAME.graphql asks the ragged store, golden/NAME.json is the answer.

`python tests/schema/test_golden.py` writes the answers anew; review what changed.
"""

import asyncio
import json
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from requests_to_graph import graph_of  # noqa: E402  # the path is set above when run by hand
from schema_stores import ragged_store  # noqa: E402

pytestmark = pytest.mark.anyio


async def answer_of(query: Path) -> str:
    """The response to a query, as it is kept."""
    async with graph_of(ragged_store()) as graph:
        response = await graph.ask(query.read_text())
    del response["extensions"]
    return json.dumps(response, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("query", sorted(GOLDEN.glob("*.graphql")), ids=lambda path: path.stem)
async def test_golden(query: Path) -> None:
    """The answer is what it was when somebody looked at it last."""
    assert query.with_suffix(".json").read_text() == await answer_of(query)


if __name__ == "__main__":
    for path in sorted(GOLDEN.glob("*.graphql")):
        path.with_suffix(".json").write_text(asyncio.run(answer_of(path)))
