"""Lists of images that tell the manifests of a repository and their tags in one: read once for both.

A look at a repository asks for its tags and then for its manifests. Where one list of the vendor tells both,
the manifests that came with the tags are kept until they are asked for, once. What is kept is no older than
the list of tags of the same look, since every list of tags replaces it; of a list that was cut short, or
that another took the place of, nothing is kept.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graph.oci.reference import RepositoryName
from graph.registry.entries import ListedManifest, ListedTag

# Repositories whose manifests are kept for the question to come: twice those that a crawl looks at at once.
MAX_KEPT = 64


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A manifest of a list with its tags, which may be none."""

    manifest: ListedManifest
    tags: tuple[ListedTag, ...] = ()


Pages: TypeAlias = AsyncIterator[Sequence[ListedImage]]


class ImageLists:
    """Reads lists of images, and keeps of each what has not been asked for yet."""

    def __init__(self) -> None:
        self._kept: dict[RepositoryName, list[list[ListedManifest]]] = {}

    async def tags(self, repository: RepositoryName, images: Pages) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags of a list of images."""
        self._kept.pop(repository, None)
        manifests: list[list[ListedManifest]] = []
        async for page in images:
            manifests.append([image.manifest for image in page])
            yield [tag for image in page for tag in image.tags]
        while len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[repository] = manifests

    async def manifests(
        self, repository: RepositoryName, images: Pages
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """The manifests that came with the tags, else those of the list, which is then read."""
        kept = self._kept.pop(repository, None)
        if kept is not None:
            for manifests in kept:
                yield manifests
            return
        async for page in images:
            yield [image.manifest for image in page]
