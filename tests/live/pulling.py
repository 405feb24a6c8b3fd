"""A registry that logs what it sends, a server over it, and a check that a pull was foretold to the byte."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from live.access_log import AccessLog, Sent
from live.census import Skopeo
from live.client import Graph
from live.rigs import docker_registry, ocigraph

FORETOLD = """
query Foretold($artifacts: [String!]!, $platform: String, $present: Present, $reuse: Reuse! = BLOB) {
  rollout(artifacts: $artifacts, platform: $platform, present: $present, reuse: $reuse) {
    layerBytes documentBytes totalBytes
    basis { countsAreLowerBound }
    pulls {
      documents { role digest size }
      fetched { digest size }
      present { digest }
      layerBytes documentBytes totalBytes
    }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """A registry, its log and a server that has crawled it."""

    url: str
    log: AccessLog
    graph: Graph

    def foretell(self, *artifacts: str, **variables: Any) -> Any:
        """What a rollout is said to cost."""
        rollout = self.graph.ask(FORETOLD, {"artifacts": artifacts, **variables})["rollout"]
        assert rollout["basis"] == {"countsAreLowerBound": False}
        return rollout

    def check(self, pull: Any, name: str, act: Callable[[], object]) -> None:
        """Assert that pulling the artifact sends what was foretold of it, and nothing else."""
        documents, layers = pull["documents"], pull["fetched"]
        expected = [
            Sent("blobs" if each["role"] == "CONFIG" else "manifests", each["digest"], each["size"])
            for each in documents
        ] + [Sent("blobs", layer["digest"], layer["size"]) for layer in layers]

        sent = [self._by_digest(name, each) for each in self.log.during(act, len(expected))]

        assert sorted(expected) == sorted(sent)
        assert pull["layerBytes"] == sum(each.size for each in sent if each.reference in of(layers))
        assert pull["documentBytes"] == sum(each.size for each in sent if each.reference not in of(layers))
        assert pull["totalBytes"] == sum(each.size for each in sent)

    def _by_digest(self, name: str, sent: Sent) -> Sent:
        """The same with the digest of what was asked for by tag, as some clients do and some do not."""
        if sent.reference != name.partition(":")[2]:
            return sent
        return replace(sent, reference=Skopeo(self.url).inspect(name).digest)


def of(listed: Sequence[Any]) -> set[str]:
    return {each["digest"] for each in listed}


@contextmanager
def logging_registry(directory: Path, fill: Callable[[str], object]) -> Iterator[Rig]:
    """A registry that `fill` was called with, crawled."""
    log = directory / "access.log"
    with docker_registry(directory, access_log=log) as url:
        fill(url)
        with ocigraph(url, directory / "store.db") as (graph_url, _):
            graph = Graph(graph_url)
            graph.wait_for_crawl()
            yield Rig(url, AccessLog(log, url), graph)
