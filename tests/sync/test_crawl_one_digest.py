"""One digest is one thing: what one repository says of it changes nothing for those that hold it too."""

import pytest

from builders import OCI_MANIFEST, Built, make_index, make_json
from fakes.sync_rig import Rig, image, open_rig, push
from graph.sample import Answer, Request

pytestmark = pytest.mark.anyio

IMAGE, INDEX = image("a"), make_index([image("a"), image("b")])


def without_media_type(built: Built) -> Built:
    """As writers had it before the image-spec asked for `mediaType`; some have it so still."""
    document = built.document
    del document["mediaType"]
    return make_json(document, built.media_type, blobs=built.blobs, manifests=built.manifests)


def rows_of(rig: Rig, repository: str) -> list[object]:
    return [row for row in rig.dump()["artifacts"] if row[0] == repository]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.unknown.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        OCI_MANIFEST,
    ],
)
@pytest.mark.parametrize("whole", [IMAGE, INDEX], ids=["image", "index"])
async def test_a_content_type_of_another_repository(rig: Rig, whole: Built, content_type: str) -> None:
    """A registry gives back the Content-Type that came with a push; it is no part of what a digest names."""
    built = without_media_type(whole)
    push(rig.registry, "victim", built, "v1")
    await rig.crawl()
    headers = (("Content-Type", content_type), ("Docker-Content-Digest", built.digest))

    def mislead(request: Request) -> Answer | None:
        is_asked = request.path.startswith("/v2/first/manifests/") and request.method == "GET"
        return Answer(200, headers, built.data) if is_asked else None

    async with open_rig() as other:
        push(other.registry, "first", built, "v1")
        other.registry.faults = mislead
        await other.crawl()
        push(other.registry, "victim", built, "v1")
        await other.crawl()

        assert rows_of(rig, "victim") == rows_of(other, "victim")
        assert [] == other.recount()
