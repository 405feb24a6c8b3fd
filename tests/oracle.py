"""What the graph must answer, worked out from documents, tags and presence alone, by brute force.

Rules of this file: nothing of `graph` is imported. It follows the definitions of the design word for word,
and plainly: sets and loops, each question from the start, no figure kept. `store_oracle.py` is for what a
store keeps; this one, `deletion_oracle.py` and `pull_oracle.py` are for what is asked. An artifact is a pair:
repository, digest.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Artifact = tuple[str, str]
Document = dict[str, Any]

# The empty descriptor `{}` and Docker's empty layer: those of the well-known ones that are drawn.
EMPTY = {
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4",
}
REFERRER_TAG = re.compile(r"sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?")


@dataclass
class Repository:
    """What is in one repository: tags and the manifests they name, manifests present, manifests gone."""

    tags: dict[str, str] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    is_seen: bool = True  # somebody has read its tags to the end


@dataclass(frozen=True)
class Storage:
    """The figures of a set."""

    artifact_count: int
    layer_count: int
    logical_bytes: int
    stored_bytes: int
    exclusive_bytes: int

    @property
    def shared_bytes(self) -> int:
        return self.stored_bytes - self.exclusive_bytes

    def __add__(self, other: "Storage") -> "Storage":
        return Storage(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__),
        )


class Oracle:
    """One registry: the bytes of documents by digest, and its repositories."""

    def __init__(
        self,
        documents: Mapping[str, bytes],
        repositories: Mapping[str, Repository],
        manifests: Collection[str],
        told: Mapping[str, int],
    ) -> None:
        """`documents` are configs and manifests; the digests of the latter are `manifests`.

        `told` are the sizes of manifests as the registry told them, those that nobody could read too.
        """
        self.bytes = documents
        self.told = told
        self.repositories = repositories
        self.documents: dict[str, Document] = {digest: json.loads(documents[digest]) for digest in manifests}

    # What the documents say

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The size of every digest: what it weighs where its bytes are known, else what somebody says."""
        sizes = {**self.told, **{digest: len(data) for digest, data in self.bytes.items()}}
        for document in self.documents.values():
            named = [*document.get("layers", ()), *document.get("manifests", ())]
            for descriptor in [*named, document.get("config"), document.get("subject")]:
                if descriptor is not None:
                    sizes.setdefault(descriptor["digest"], descriptor["size"])
        return sizes

    def layers(self, digest: str) -> list[Document]:
        """The descriptors of the layers of a manifest; none where its bytes are not known."""
        found: list[Document] = self.documents.get(digest, {}).get("layers", [])
        return found

    @cached_property
    def all_layers(self) -> set[str]:
        return {layer["digest"] for digest in self.documents for layer in self.layers(digest)}

    @cached_property
    def foreign(self) -> set[str]:
        """The layers of which every manifest says that they come from elsewhere."""
        listed = [layer for digest in self.documents for layer in self.layers(digest)]
        named_here = {layer["digest"] for layer in listed if "urls" not in layer}
        named_here |= {document.get("config", {}).get("digest") for document in self.documents.values()}
        named_here |= self.bytes.keys()
        return {layer["digest"] for layer in listed} - named_here

    def content(self, digest: str) -> set[str]:
        """content(a): a's manifest, its config and its layers, each once."""
        document = self.documents.get(digest, {})
        content = {digest} | {layer["digest"] for layer in document.get("layers", ())}
        if "config" in document:
            content.add(document["config"]["digest"])
        return content

    def weigh(self, blobs: Iterable[str]) -> int:
        """The bytes of the blobs."""
        return sum(self.sizes.get(blob, 0) for blob in blobs)

    def weigh_stored(self, blobs: Iterable[str]) -> int:
        """The bytes of the blobs that the registry itself keeps."""
        return self.weigh(set(blobs) - self.foreign)

    def stack(self, digest: str) -> list[str]:
        """The DiffIDs that the config of a manifest tells, the lowest layer first."""
        config = self.documents.get(digest, {}).get("config", {}).get("digest")
        told: list[str] = json.loads(self.bytes.get(config, b"{}")).get("rootfs", {}).get("diff_ids", [])
        return told

    # What is where

    @property
    def unseen(self) -> set[str]:
        return {name for name, found in self.repositories.items() if not found.is_seen}

    @property
    def unread(self) -> set[Artifact]:
        """What is there, and nobody could read."""
        return {artifact for artifact in self.everything if artifact[1] not in self.documents}

    @property
    def seen(self) -> set[str]:
        return self.repositories.keys() - self.unseen

    @cached_property
    def everything(self) -> set[Artifact]:
        return {(name, digest) for name, found in self.repositories.items() for digest in found.present}

    def children(self, artifact: Artifact) -> set[Artifact]:
        """The children of an index that are present in its repository."""
        name, digest = artifact
        listed = {child["digest"] for child in self.documents.get(digest, {}).get("manifests", ())}
        return {(name, child) for child in listed & self.repositories[name].present}

    def parents(self, artifact: Artifact) -> set[Artifact]:
        """The present indexes that list it."""
        name, _ = artifact
        indexes = {(name, digest) for digest in self.repositories[name].present}
        return {index for index in indexes if artifact in self.children(index)}

    def ordinary_tags(self, artifact: Artifact) -> set[str]:
        """The tags of an artifact that are no referrer tags."""
        name, digest = artifact
        tags = self.repositories[name].tags
        return {tag for tag, target in tags.items() if target == digest and not REFERRER_TAG.fullmatch(tag)}

    def subjects(self, artifact: Artifact) -> set[str]:
        """The digests it refers to: by subject, by a referrer tag, or from the index of a fallback tag.

        That index refers too: it is there for the subject alone.
        """
        name, digest = artifact
        found: set[str] = set()
        subject = self.documents.get(digest, {}).get("subject")
        if subject is not None:
            found.add(subject["digest"])
        for tag, target in self.repositories[name].tags.items():
            match = REFERRER_TAG.fullmatch(tag)
            if match is None:
                continue
            subject_digest = f"sha256:{match[1]}"
            if target == digest:
                found.add(subject_digest)
            if match[2] is None and artifact in self.children((name, target)) and digest != subject_digest:
                found.add(subject_digest)
        return found

    def may_be_there(self, name: str, digest: str) -> bool:
        """Not known to be absent, and not known to be present either."""
        found = self.repositories[name]
        return digest not in found.present and digest not in found.absent

    # Tagged, live, untagged

    @cached_property
    def live(self) -> set[Artifact]:
        live: set[Artifact] = set()
        while True:
            more = {artifact for artifact in self.everything if self._is_live(artifact, live)}
            if more == live:
                return live
            live = more

    def _is_live(self, artifact: Artifact, live: set[Artifact]) -> bool:
        name, _ = artifact
        return bool(
            self.ordinary_tags(artifact)
            or self.parents(artifact) & live
            or any(
                (name, subject) in live or self.may_be_there(name, subject)
                for subject in self.subjects(artifact)
            )
        )

    def untagged(self, artifact: Artifact) -> str | None:
        if self.ordinary_tags(artifact):
            return None
        if self.parents(artifact) & self.live:
            return "INDEX_CHILD"
        return "REFERRER" if artifact in self.live else "DANGLING"

    # Sizes

    def down(self, named: Collection[Artifact]) -> set[Artifact]:
        """down(S)."""
        found = set(named)
        while True:
            more = found.union(*(self.children(member) for member in found))
            if more == found:
                return found
            found = more

    def going(self, named: Collection[Artifact]) -> set[Artifact]:
        """going(S)."""
        going = self.down(named)
        while True:
            kept = {
                member
                for member in going - set(named)
                if self.ordinary_tags(member) or self.parents(member) - going
            }
            if not kept:
                return going
            going -= kept

    def contents(self, artifacts: Iterable[Artifact]) -> set[str]:
        return set().union(*(self.content(digest) for _, digest in artifacts))

    def exclusive(self, gone: Collection[Artifact]) -> set[str]:
        """The blobs that no present artifact outside of `gone` uses."""
        left = self.contents(self.everything - set(gone))
        return self.contents(gone) - left - self.foreign

    def storage(self, named: Collection[Artifact], scope: str = "ALL") -> Storage:
        members = set(named) & self.live if scope == "TAGGED" else set(named)
        down = self.down(members)
        blobs = self.contents(down)
        return Storage(
            artifact_count=len(down),
            layer_count=len(blobs & self.all_layers),
            logical_bytes=sum(self.weigh(self.content(digest)) for _, digest in down),
            stored_bytes=self.weigh_stored(blobs),
            exclusive_bytes=self.weigh(self.exclusive(self.going(members))),
        )

    def members(self, prefix: str = "") -> set[Artifact]:
        """All artifacts, those of one repository, or those below a namespace."""
        return {
            artifact
            for artifact in self.everything
            if prefix in ("", artifact[0]) or artifact[0].startswith(f"{prefix}/")
        }

    # Ranking

    def users(self, blob: str) -> set[Artifact]:
        return {artifact for artifact in self.everything if blob in self.content(artifact[1])}

    def saved_bytes(self, layer: str) -> int:
        if layer in EMPTY or layer in self.foreign:
            return 0
        return self.sizes[layer] * max(0, len(self.users(layer)) - 1)

    def ranking(self, among: Collection[Artifact], shared_by_at_least: int = 1) -> dict[str, int]:
        """savedBytes of each layer that `among` use and so many repositories of the registry share."""
        ranked = {}
        for layer in self.contents(among) & self.all_layers:
            repositories = {name for name, _ in self.users(layer)}
            if shared_by_at_least <= 1 or (layer not in EMPTY and len(repositories) >= shared_by_at_least):
                ranked[layer] = self.saved_bytes(layer)
        return ranked

    # Overlap

    def shareable(self, named: Collection[Artifact]) -> set[str]:
        """The layers of a member of an overlap: of all of down(S), without the empty ones."""
        return (self.contents(self.down(named)) & self.all_layers) - EMPTY

    def overlap(self, members: Sequence[Collection[Artifact]]) -> list[list[tuple[int, int]]]:
        """Layers and bytes that each two members share."""
        layers = [self.shareable(member) for member in members]
        return [[(len(row & column), self.weigh(row & column)) for column in layers] for row in layers]

    def related_repositories(self, name: str) -> dict[str, set[str]]:
        """The layers shared with each other repository that shares any."""
        own = self.shareable(self.members_of(name))
        others = self.seen - {name}
        shared = {other: own & self.shareable(self.members_of(other)) for other in others}
        return {other: both for other, both in shared.items() if both}

    def related_artifacts(self, artifact: Artifact) -> dict[Artifact, set[str]]:
        """The layers shared with each artifact outside of down({a}) that uses any of them itself."""
        own = self.shareable([artifact])
        others = self.everything - self.down([artifact])
        shared = {other: own & self.content(other[1]) for other in others}
        return {other: both for other, both in shared.items() if both}

    def members_of(self, name: str) -> set[Artifact]:
        return {(name, digest) for digest in self.repositories[name].present}
