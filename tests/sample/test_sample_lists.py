"""The catalog and the tag lists of the sample registry: their order, their pages, their Links."""

import pytest

from builders import make_image
from graph.sample import SampleRegistry
from sample.reading import Connect, codes, follow

pytestmark = pytest.mark.anyio

IMAGE = make_image()


async def test_catalog_is_paged_by_link(connect: Connect) -> None:
    """The catalog gives at most a page and a relative Link to the next, until there is none."""
    registry = SampleRegistry(page_size=2)
    for name in ("c", "a", "b/c", "b-c", "b"):
        registry.put_repository(name)
    client = connect(registry)
    assert await follow(client, "/v2/_catalog", "repositories") == [["a", "b"], ["b-c", "b/c"], ["c"]]
    first = await client.get("/v2/_catalog?n=1")
    assert first.headers["Link"] == '</v2/_catalog?n=1&last=a>; rel="next"'


async def test_last_page_that_is_full_has_no_link(connect: Connect) -> None:
    """A Link is given only where something follows."""
    registry = SampleRegistry(page_size=2)
    for tag in ("a", "b"):
        registry.put_manifest("app", IMAGE.data, tag=tag)
    response = await connect(registry).get("/v2/app/tags/list?n=2")
    assert (response.json()["tags"], response.links) == (["a", "b"], {})


async def test_tags_are_in_lexical_order(connect: Connect) -> None:
    """Tags come in case-insensitive lexical order, `last` is exclusive and need not be a tag."""
    registry = SampleRegistry()
    for tag in ("v10", "V2", "latest", "v1", "_x"):
        registry.put_manifest("app", IMAGE.data, tag=tag)
    client = connect(registry)
    response = await client.get("/v2/app/tags/list")
    assert response.json() == {"name": "app", "tags": ["_x", "latest", "v1", "v10", "V2"]}
    after = await client.get("/v2/app/tags/list?last=lauter")
    assert after.json()["tags"] == ["v1", "v10", "V2"]
    pages = await follow(client, "/v2/app/tags/list?n=2", "tags")
    assert pages == [["_x", "latest"], ["v1", "v10"], ["V2"]]


async def test_n_of_zero_is_an_empty_page_without_link(connect: Connect) -> None:
    """n=0: an empty list and no Link, though there are tags."""
    registry = SampleRegistry()
    registry.put_manifest("app", IMAGE.data, tag="v1")
    response = await connect(registry).get("/v2/app/tags/list?n=0")
    assert (response.json()["tags"], response.links) == ([], {})


async def test_n_above_the_page_size_gives_a_smaller_page_and_a_link(connect: Connect) -> None:
    """Fewer than n entries are legal while a Link follows."""
    registry = SampleRegistry(page_size=1)
    for tag in ("a", "b"):
        registry.put_manifest("app", IMAGE.data, tag=tag)
    pages = await follow(connect(registry), "/v2/app/tags/list?n=1000", "tags")
    assert pages == [["a"], ["b"]]


@pytest.mark.parametrize("n", ["-1", "x", "", "1.5", "²"])
async def test_n_that_is_no_number_is_400(connect: Connect, n: str) -> None:
    """What is no number of entries is refused with distribution's code."""
    response = await connect(SampleRegistry()).get("/v2/_catalog", params={"n": n})
    assert (response.status_code, codes(response)) == (400, ["PAGINATION_NUMBER_INVALID"])


async def test_repository_of_untagged_manifests_has_an_empty_tag_list(connect: Connect) -> None:
    """A repository without tags is in the catalog and lists none; one that never was is 404."""
    registry = SampleRegistry()
    registry.put_manifest("app", IMAGE.data)
    client = connect(registry)
    assert (await client.get("/v2/app/tags/list")).json()["tags"] == []
    unknown = await client.get("/v2/other/tags/list")
    assert (unknown.status_code, codes(unknown)) == (404, ["NAME_UNKNOWN"])
