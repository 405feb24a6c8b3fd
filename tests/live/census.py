"""What a registry holds according to `skopeo`, and the figures that follow from it by brute force.

The expectation of the live tests: nothing here comes from `graph`, and every manifest is what
`skopeo inspect --raw` printed.
"""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from builders import digest_of
from live.rigs import find_tool, get, run, tool_environment
from live.seeding import docker_url


@dataclass(frozen=True, slots=True)
class Seen:
    """One manifest as it was printed."""

    digest: str
    data: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The manifest, decoded."""
        document: dict[str, Any] = json.loads(self.data)
        return document

    @property
    def layers(self) -> list[tuple[str, int, str]]:
        """Digest, size and media type of each layer, in order; none for an index."""
        return [
            (layer["digest"], layer["size"], layer["mediaType"]) for layer in self.document.get("layers", [])
        ]

    @property
    def children(self) -> list[str]:
        """The digests an index lists."""
        return [child["digest"] for child in self.document.get("manifests", [])]


@dataclass(slots=True)
class Census:
    """`tags`: repository → tag → digest. `manifests`: repository → digest → what was printed."""

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    manifests: dict[str, dict[str, Seen]] = field(default_factory=dict)

    def layer_users(self) -> dict[str, dict[str, set[str]]]:
        """Layer → repository → digests of the manifests there that list it."""
        users: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for repository, manifests in self.manifests.items():
            for seen in manifests.values():
                for digest, _, _ in seen.layers:
                    users[digest][repository].add(seen.digest)
        return users

    def size(self, repository: str, digest: str) -> int:
        """The bytes of the manifest, its config and layers, and its children's, each digest once."""
        content: dict[str, int] = {}
        self._add_content(repository, digest, content)
        return sum(content.values())

    def _add_content(self, repository: str, digest: str, content: dict[str, int]) -> None:
        seen = self.manifests[repository][digest]
        content[digest] = len(seen.data)
        document = seen.document
        for part in [document["config"]] if "config" in document else []:
            content[part["digest"]] = part["size"]
        content |= {layer: size for layer, size, _ in seen.layers}
        for child in seen.children:
            self._add_content(repository, child, content)


def take_census(url: str, repositories: Iterable[str], untagged: Iterable[tuple[str, str]] = ()) -> Census:
    """What the repositories hold that a tag, an index or `untagged` (repository, digest) leads to."""
    skopeo = Skopeo(url)
    census = Census()
    by_hand = list(untagged)
    with ThreadPoolExecutor(4) as pool:
        for repository in repositories:
            tags = skopeo.list_tags(repository)
            seen = dict(
                zip(tags, pool.map(skopeo.inspect, [f"{repository}:{tag}" for tag in tags]), strict=True)
            )
            census.tags[repository] = {tag: found.digest for tag, found in seen.items()}
            found = {manifest.digest: manifest for manifest in seen.values()}
            waiting = [digest for name, digest in by_hand if name == repository]
            waiting += [child for manifest in found.values() for child in manifest.children]
            while waiting:
                digest = waiting.pop()
                if digest not in found:
                    found[digest] = skopeo.inspect(f"{repository}@{digest}")
                    waiting += found[digest].children
            census.manifests[repository] = found
    return census


def list_repositories(url: str) -> list[str]:
    """The catalog, which skopeo has no command for; on one page."""
    body = get(f"{url}/v2/_catalog?n=1000")
    assert body is not None
    names: list[str] = json.loads(body)["repositories"]
    return sorted(names)


class Skopeo:
    """skopeo, asked about one registry."""

    def __init__(self, url: str) -> None:
        self._tool = find_tool("skopeo")
        self._url = url

    def list_tags(self, repository: str) -> list[str]:
        """The tags of the repository; digests, which zuul-registry lists among them, are none."""
        printed = run([self._tool, "list-tags", "--tls-verify=false", docker_url(self._url, repository)])
        tags: list[str] = json.loads(printed)["Tags"]
        return [tag for tag in tags if ":" not in tag]

    def inspect(self, name: str) -> Seen:
        """The manifest under a tag or digest, byte for byte."""
        command = [self._tool, "inspect", "--raw", "--tls-verify=false", docker_url(self._url, name)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60, env=tool_environment())
        return Seen(digest_of(done.stdout), done.stdout)

    def inspect_config(self, name: str) -> dict[str, Any]:
        """The config of an image."""
        command = [self._tool, "inspect", "--config", "--tls-verify=false", docker_url(self._url, name)]
        config: dict[str, Any] = json.loads(run(command))
        return config
