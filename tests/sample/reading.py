"""What tests of the sample registry ask it with, and how they read its answers."""

from collections.abc import Callable

import httpx

from builders import OCI_INDEX, OCI_MANIFEST
from graph.sample import SampleRegistry

ACCEPT = {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"}
MISSING = "sha256:" + "0" * 64

Connect = Callable[[SampleRegistry], httpx.AsyncClient]


def codes(response: httpx.Response) -> list[str]:
    """The codes of an error's body."""
    return [error["code"] for error in response.json()["errors"]]


async def follow(client: httpx.AsyncClient, path: str, name: str) -> list[list[object]]:
    """The pages of a list, by its Link headers."""
    pages = []
    while path:
        response = await client.get(path)
        assert response.status_code == 200
        pages.append(response.json()[name])
        path = response.links.get("next", {}).get("url", "")
    return pages
