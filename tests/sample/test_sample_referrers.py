"""The lists of referrers that the sample registry keeps, or does not."""

import pytest

from builders import OCI_INDEX, OCI_MANIFEST, SPDX, make_artifact, make_blob, make_image, make_index
from graph.sample import SampleRegistry
from sample.reading import MISSING, Connect, follow

pytestmark = pytest.mark.anyio

IMAGE = make_image()
NOTATION = "application/vnd.cncf.notary.signature"
# A subject that nobody pushed.
ABSENT = {"mediaType": OCI_MANIFEST, "digest": MISSING, "size": 2}


async def test_referrers_are_an_index_of_descriptors(connect: Connect) -> None:
    """end-12a: annotations come along, and the artifact type, which may be the config's media type."""
    registry = SampleRegistry()
    registry.put_manifest("app", IMAGE.data, tag="v1")
    sbom = make_artifact(SPDX, subject=IMAGE, annotations={"a": "b"})
    signature = make_image([], make_blob(b"{}", NOTATION), subject=IMAGE)
    registry.put_manifest("app", sbom.data)
    registry.put_manifest("app", signature.data)
    response = await connect(registry).get(f"/v2/app/referrers/{IMAGE.digest}")
    assert response.headers["content-type"] == OCI_INDEX
    index = response.json()
    expected = [
        sbom.descriptor(artifactType=SPDX, annotations={"a": "b"}),
        signature.descriptor(artifactType=NOTATION),
    ]
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    assert sorted(expected, key=lambda descriptor: str(descriptor["digest"])) == index["manifests"]


async def test_index_may_be_a_referrer(connect: Connect) -> None:
    """An index with a subject is a referrer; it has no artifact type unless it says one."""
    registry = SampleRegistry()
    index = make_index([], subject=ABSENT)
    registry.put_manifest("app", index.data, OCI_INDEX)
    response = await connect(registry).get(f"/v2/app/referrers/{MISSING}")
    assert [index.descriptor()] == response.json()["manifests"]


@pytest.mark.parametrize("repository", ["app", "never-pushed"])
async def test_unknown_subject_has_no_referrers(connect: Connect, repository: str) -> None:
    """A registry that knows referrers never answers 404: the list is empty."""
    registry = SampleRegistry()
    registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).get(f"/v2/{repository}/referrers/{MISSING}")
    assert (response.status_code, response.json()["manifests"]) == (200, [])


async def test_referrers_are_filtered_by_artifact_type(connect: Connect) -> None:
    """end-12b: the filter is applied and said to be."""
    registry = SampleRegistry()
    wanted = registry.put_manifest("app", make_artifact(SPDX, subject=ABSENT).data)
    registry.put_manifest("app", make_artifact("application/vnd.example", subject=ABSENT).data)
    client = connect(registry)
    response = await client.get(f"/v2/app/referrers/{MISSING}", params={"artifactType": SPDX})
    assert response.headers["OCI-Filters-Applied"] == "artifactType"
    assert [wanted] == [found["digest"] for found in response.json()["manifests"]]
    unfiltered = await client.get(f"/v2/app/referrers/{MISSING}")
    assert "OCI-Filters-Applied" not in unfiltered.headers
    assert len(unfiltered.json()["manifests"]) == 2


async def test_referrers_are_paged_by_link(connect: Connect) -> None:
    """Every referrer is on exactly one page, and the Link keeps the filter."""
    registry = SampleRegistry(page_size=2)
    pushed = {
        registry.put_manifest(
            "app", make_artifact("application/x+y", subject=ABSENT, annotations={"n": f"{n}"}).data
        )
        for n in range(5)
    }
    registry.put_manifest("app", make_artifact("application/other", subject=ABSENT).data)
    pages = await follow(
        connect(registry), f"/v2/app/referrers/{MISSING}?artifactType=application%2Fx%2By", "manifests"
    )
    digests = [descriptor["digest"] for page in pages for descriptor in page]  # type: ignore[index]  # JSON
    assert [len(page) for page in pages] == [2, 2, 1]
    assert (5, pushed) == (len(digests), set(digests))


async def test_registry_without_referrers(connect: Connect) -> None:
    """`supports_referrers=False`: the path is unknown, in plain text, as on distribution."""
    registry = SampleRegistry(supports_referrers=False)
    subject = registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).get(f"/v2/app/referrers/{subject}")
    assert (response.status_code, response.text) == (404, "404 page not found\n")
