"""The repositories of one registry as its first crawl saw them: their artifacts and tags.

Rules of this file: rows of observation tables, and of referrers, repository by repository in the order of the
catalog; content is `images.py`'s, every figure that follows `derivation.py`'s. Everything is present.
"""

from collections.abc import Sequence
from itertools import count
from random import Random

from benchmarks import images, model
from benchmarks.images import BEGAN_AT, DAY, SECOND, Blob, Form, Images, Manifest, Sink
from graph.oci.reference import RepositoryName, namespace_of
from graph.oci.tags import version_key

# What each row has, in this order; other columns keep their defaults until they are derived.
COLUMNS = {
    **images.COLUMNS,
    "repository": "id registry_id name namespace completeness first_seen_at listed_at observed_at "
    "crawled_at changed_at tag_count",
    "artifact": "id registry_id repository_id manifest_id has_manifest discovery first_seen_at observed_at "
    "kind artifact_type os architecture created_at size untagged is_live tag_count",
    "tag": "id repository_id name version_key artifact_id referrer_subject_id is_referrer_tag "
    "first_seen_at observed_at changed_at",
    "tag_move": "tag_id from_artifact_id to_artifact_id observed_at",
    "referrer": "repository_id subject_id artifact_id via",
}


class Population:
    """Draws repositories and gives their rows to a sink."""

    def __init__(
        self, random: Random, sink: Sink, registry_id: int, repositories: int, documents: int
    ) -> None:
        """There will be `repositories`; the images of the first `documents` have their raw documents."""
        self._random = random
        self._sink = sink
        self._registry_id = registry_id
        self._repositories = repositories
        self._documents = documents
        self._images = Images(random, sink, registry_id)
        self._artifact_keys, self._tag_keys = count(1), count(1)
        self._repository_id = 0
        self._at = BEGAN_AT

    def add_repository(self, key: int, name: str) -> None:
        """Add the next repository with all that is in it; keys rise from 1."""
        at = BEGAN_AT + key * DAY // self._repositories
        self._repository_id = key
        self._at = self._images.at = at
        self._images.has_documents = key <= self._documents
        namespace = namespace_of(RepositoryName(name))
        tags = 0
        if self._random.random() >= model.EMPTY_REPOSITORIES:
            tags = model.draw_tag_count(self._random, self._repositories)
            self._fill(namespace, tags)
        self._sink.add(
            "repository",
            key,
            self._registry_id,
            name,
            namespace,
            "BEST_EFFORT",
            BEGAN_AT,
            BEGAN_AT,
            at,
            at,
            at if tags else None,
            tags,
        )

    def _fill(self, namespace: str | None, tags: int) -> None:
        random = self._random
        place = random.random()
        if place < model.INDEX_REPOSITORIES:
            self._add_indexes(namespace, tags)
        elif place < model.INDEX_REPOSITORIES + model.CHART_REPOSITORIES:
            self._add_charts(tags)
        else:
            form = images.OCI_IMAGE if random.random() < model.OCI_IMAGES else images.DOCKER_IMAGE
            self._add_images(form, namespace, tags)

    def _add_images(self, form: Form, namespace: str | None, tags: int) -> None:
        random = self._random
        platform = model.PLATFORMS[random.random() < model.OTHER_ARCHITECTURES]
        layers = self._images.draw_layers(namespace)
        left_behind: int | None = None
        if random.random() < model.MOVED_TAGS:
            manifest = self._images.put_image(form, layers, platform)
            left_behind = self._add_artifact(manifest, "TAG", untagged="DANGLING")
            layers = self._images.draw_release(layers)
        for number, names in enumerate(_share_out(tags)):
            if number:
                layers = self._images.draw_release(layers)
            manifest = self._images.put_image(form, layers, platform)
            artifact = self._add_artifact(manifest, "TAG", tags=len(names))
            self._add_tags(names, artifact, left_behind)
            if random.random() < model.SIGNED_IMAGES:
                self._sign(manifest)

    def _add_charts(self, tags: int) -> None:
        for names in _share_out(tags):
            size = self._random.randint(*model.CHART_BYTES)
            chart = self._images.put_image(images.CHART, (self._images.add_layer(size),))
            self._add_tags(names, self._add_artifact(chart, "TAG", tags=len(names)))

    def _add_indexes(self, namespace: str | None, tags: int) -> None:
        """Add indexes of an image for several platforms, with an attestation for each."""
        layers = self._images.draw_layers(namespace)
        platforms = model.PLATFORMS[: self._random.randint(2, len(model.PLATFORMS))]
        for release, names in enumerate(_share_out(tags)):
            if release:
                layers = self._images.draw_release(layers)
            children = []
            for number, platform in enumerate(platforms):
                own = self._images.draw_variant(layers) if number else layers
                children.append(self._images.put_image(images.OCI_IMAGE, own, platform))
            for _ in platforms:
                layer = self._images.add_layer(self._random.randint(*model.ATTESTATION_BYTES))
                children.append(self._images.put_image(images.ATTESTATION, (layer,), images.UNKNOWN_PLATFORM))
            index = self._images.put_index(children)
            for child in children:
                self._add_artifact(child, "CHILD", untagged="INDEX_CHILD")
            down = index.content.union(*(child.content for child in children))
            artifact = self._add_artifact(index, "TAG", tags=len(names), size=_size_of(down))
            self._add_tags(names, artifact)

    def _sign(self, manifest: Manifest) -> None:
        """Add a signature by cosign's tag, and an SBOM that names the image as its subject."""
        layer = self._images.add_layer(model.SIGNATURE_BYTES)
        signature = self._images.put_image(images.SIGNATURE, (layer,))
        artifact = self._add_artifact(signature, "TAG", untagged="REFERRER")
        self._add_tag(manifest.blob.digest.replace(":", "-") + ".sig", artifact, subject=manifest.blob)
        self._add_referrer(manifest, artifact, "REFERRER_TAG")
        layer = self._images.add_layer(self._random.randint(*model.SBOM_BYTES))
        sbom = self._images.put_image(images.SBOM, (layer,), subject=manifest.blob)
        artifact = self._add_artifact(sbom, "REFERRER", untagged="REFERRER")
        self._add_referrer(manifest, artifact, "SUBJECT")

    def _add_referrer(self, subject: Manifest, artifact: int, via: str) -> None:
        self._sink.add("referrer", self._repository_id, subject.blob.key, artifact, via)

    def _add_artifact(
        self,
        manifest: Manifest,
        discovery: str,
        *,
        tags: int = 0,
        untagged: str | None = None,
        size: int | None = None,
    ) -> int:
        key = next(self._artifact_keys)
        self._sink.add(
            "artifact",
            key,
            self._registry_id,
            self._repository_id,
            manifest.blob.key,
            True,
            discovery,
            self._at,
            self._at,
            manifest.kind,
            manifest.artifact_type,
            *manifest.platform[:2],
            manifest.created_at,
            manifest.size if size is None else size,
            untagged,
            untagged != "DANGLING",
            tags,
        )
        return key

    def _add_tags(self, names: Sequence[str], artifact: int, left_behind: int | None = None) -> None:
        for name in names:
            self._add_tag(name, artifact, left_behind if name == model.LATEST else None)

    def _add_tag(
        self, name: str, artifact: int, before: int | None = None, subject: Blob | None = None
    ) -> None:
        """Add a tag; `before` is the artifact that it named until it was seen to move."""
        key = next(self._tag_keys)
        moved_at = None if before is None else self._at + SECOND
        self._sink.add(
            "tag",
            key,
            self._repository_id,
            name,
            version_key(name),
            artifact,
            None if subject is None else subject.key,
            subject is not None,
            self._at,
            moved_at or self._at,
            moved_at,
        )
        self._sink.add("tag_move", key, None, artifact if before is None else before, self._at)
        if moved_at is not None:
            self._sink.add("tag_move", key, before, artifact, moved_at)


def _share_out(tags: int) -> list[list[str]]:
    """Return the names of the tags of each artifact, the newest artifact last."""
    names = list(model.tag_names(tags))
    artifacts = 1 + (tags - 1) // model.TAGS_PER_ARTIFACT
    return [
        names[number * tags // artifacts : (number + 1) * tags // artifacts] for number in range(artifacts)
    ]


def _size_of(content: frozenset[Blob]) -> int:
    return sum(blob.size for blob in content)
