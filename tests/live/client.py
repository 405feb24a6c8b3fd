"""Asks a running ocigraph server as a stranger would: POST, JSON, nothing of the package."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from live.rigs import wait_until

SYNC = "{ registry { sync { state lastFinishedAt error } } }"

# Seconds for a crawl of a seeded registry: it has some 70 manifests, which takes about one.
CRAWL_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Graph:
    """One server; `ask` gives the data of an answer that has no errors."""

    url: str

    def ask(
        self, query: str, variables: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The `data` of the answer; an answer with errors fails the test with them."""
        answer = self.answer(query, variables, headers)
        assert "errors" not in answer, json.dumps(answer["errors"], indent=1)
        return answer["data"]

    def answer(
        self, query: str, variables: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The whole answer, errors and extensions included."""
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        asked = urllib.request.Request(
            f"{self.url}/graphql", body, {"Content-Type": "application/json", **(headers or {})}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.code}: {error.read().decode()}") from error
        return answer

    def nodes(self, query: str, path: str, variables: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """The nodes of every page of the connection at the dotted path; the query takes `$after`."""
        after = None
        while True:
            connection = self.ask(query, {**(variables or {}), "after": after})
            for name in path.split("."):
                connection = connection[name]
            yield from connection["nodes"]
            if not connection["pageInfo"]["hasNextPage"]:
                return
            after = connection["pageInfo"]["endCursor"]

    def wait_for_crawl(self, after: datetime | None = None) -> datetime:
        """When the latest crawl ended; waits for the first, or for one that ended after the given time."""

        def look() -> datetime | None:
            sync = self.ask(SYNC)["registry"]["sync"]
            assert sync["state"] != "FAILED", sync
            finished = sync["lastFinishedAt"]
            if finished is None:
                return None
            at = datetime.fromisoformat(finished)
            return at if after is None or at > after else None

        return wait_until("the end of a crawl", look, CRAWL_TIMEOUT)

    def wait_for_whole_crawl(self) -> datetime:
        """When a crawl ended that began after now: of two that end from now on, the second."""
        under_way = self.wait_for_crawl()
        return self.wait_for_crawl(after=self.wait_for_crawl(after=under_way))
