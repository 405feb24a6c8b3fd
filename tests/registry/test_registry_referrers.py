"""The referrers API, and how a registry that lacks it is recognised."""

import asyncio
from collections.abc import Callable

import pytest

from builders import OCI_INDEX, make_descriptor
from fakes.scripted import Answer, Asked, Reaction, ScriptedRegistry, answer_error, answer_json
from graph.errors import (
    RegistryDeniedError,
    RegistryError,
    RegistryFailedError,
    RegistryProtocolError,
    RegistryUnknownError,
    RegistryUnsupportedError,
)
from graph.oci.digest import Digest
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.client import RegistryClient
from graph.registry.ledger import RequestKind
from graph.registry.listing import MAX_BARREN_PAGES

pytestmark = pytest.mark.anyio

MakeClient = Callable[..., RegistryClient]
A = RepositoryName("a")
SUBJECT = Digest("sha256:" + "a" * 64)
PATH = f"/v2/a/referrers/{SUBJECT}"


def answer_index(*seeds: str, **headers: str) -> Answer:
    manifests = [
        make_descriptor(
            seed, media_type="application/vnd.oci.image.manifest.v1+json", artifactType="application/x"
        )
        for seed in seeds
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
    return answer_json(document, **{"content_type": OCI_INDEX, **headers})


def registry_with(reaction: Reaction) -> ScriptedRegistry:
    return ScriptedRegistry({PATH: reaction})


async def test_referrers(make_client: MakeClient) -> None:
    """Referrers come as the registry's descriptors, over all pages, each digest once."""
    pages = {
        "": answer_index("one", "two", Link='<?page=2>; rel="next"'),
        "page=2": answer_index("two", "three"),
    }
    registry = registry_with(lambda asked: pages[asked.query])
    async with make_client(registry) as client:
        referrers = await client.list_referrers(A, SUBJECT)

    assert [make_descriptor(seed)["digest"] for seed in ("one", "two", "three")] == [
        r.digest for r in referrers
    ]
    assert {"application/x"} == {referrer.artifact_type for referrer in referrers}
    assert CapabilityState.SUPPORTED is client.capabilities[Capability.REFERRERS]
    assert [PATH, f"{PATH}?page=2"] == registry.targets
    assert OCI_INDEX == registry.asked[0].headers["accept"]
    assert 2 == client.ledger.count(RequestKind.REFERRERS)


async def test_no_referrers(make_client: MakeClient) -> None:
    """An empty index means none: the registry can tell."""
    async with make_client(registry_with(answer_index())) as client:
        assert () == await client.list_referrers(A, SUBJECT)
        assert CapabilityState.SUPPORTED is client.capabilities[Capability.REFERRERS]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"404 page not found", {"content-type": "text/plain"}),
        answer_error(404, "NAME_UNKNOWN"),
        answer_error(400, "UNSUPPORTED"),
        answer_error(400),
        answer_error(405),
        answer_error(406),
        answer_error(501),
        answer_json({"manifests": []}),
        Answer(200, b"<html>", {"content-type": "text/html"}),
        Answer(200, b""),
    ],
)
async def test_no_such_api(make_client: MakeClient, answer: Answer) -> None:
    """Whatever a registry says in place of an index, the first time it means that it has no such API."""
    registry = registry_with(answer)
    async with make_client(registry) as client:
        for _ in range(3):
            with pytest.raises(RegistryUnsupportedError):
                await client.list_referrers(A, SUBJECT)
        assert CapabilityState.UNSUPPORTED is client.capabilities[Capability.REFERRERS]
    assert 1 == client.ledger.total


@pytest.mark.parametrize("answer", [answer_error(404), answer_index("one")])
async def test_one_probe(make_client: MakeClient, answer: Answer) -> None:
    """However many ask at once, only one request finds out; the others wait for what it found."""
    is_answered = asyncio.Event()

    async def react(asked: Asked) -> Answer:
        if not is_answered.is_set():
            assert 1 == client.ledger.total
            await asyncio.sleep(0)
            is_answered.set()
        return answer

    async with make_client(registry_with(react)) as client:
        results = await asyncio.gather(
            *(client.list_referrers(A, SUBJECT) for _ in range(20)), return_exceptions=True
        )
    expected = (1, RegistryUnsupportedError) if answer.status == 404 else (20, tuple)
    assert expected == (client.ledger.total, type(results[0]))
    assert 1 == len({type(result) for result in results})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(answer_error(403), RegistryDeniedError), (answer_error(500), RegistryFailedError)],
)
async def test_failure_is_no_verdict(
    make_client: MakeClient, answer: Answer, expected: type[RegistryError]
) -> None:
    """A refusal or a failure says nothing about whether there is such an API."""
    async with make_client(registry_with(answer)) as client:
        with pytest.raises(expected):
            await client.list_referrers(A, SUBJECT)
        assert CapabilityState.UNKNOWN is client.capabilities[Capability.REFERRERS]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (answer_error(404), RegistryUnknownError),
        (answer_error(400), RegistryProtocolError),
        (answer_json({"manifests": []}), RegistryProtocolError),
    ],
)
async def test_verdict_stands(make_client: MakeClient, later: Answer, expected: type[RegistryError]) -> None:
    """A registry that has shown the API has it, whatever it says of one manifest later."""
    answers = [answer_index("one"), later]
    async with make_client(registry_with(lambda asked: answers.pop(0))) as client:
        await client.list_referrers(A, SUBJECT)
        with pytest.raises(expected):
            await client.list_referrers(A, SUBJECT)
        assert CapabilityState.SUPPORTED is client.capabilities[Capability.REFERRERS]


@pytest.mark.parametrize(
    "answer",
    [
        answer_index("one", OCI_Filters_Applied="artifactType"),
        Answer(200, b"<html>", {"content-type": OCI_INDEX}),
        Answer(200, b'{"schemaVersion":2,"manifests":[{"digest":"../../x"}]}', {"content-type": OCI_INDEX}),
        Answer(200, b'{"schemaVersion":2,"manifests":[],"manifests":[]}', {"content-type": OCI_INDEX}),
        Answer(200, b'{"schemaVersion":2,"manifests":[],"layers":[]}', {"content-type": OCI_INDEX}),
        answer_index("one", Link=f'<{PATH}?>; rel="next"'),
    ],
)
async def test_list_that_cannot_be_believed(make_client: MakeClient, answer: Answer) -> None:
    """A list that was filtered unasked, is malformed, ambiguous or runs in a circle is no list."""
    async with make_client(registry_with(answer)) as client:
        with pytest.raises(RegistryProtocolError):
            await client.list_referrers(A, SUBJECT)


async def test_endless_referrers(make_client: MakeClient) -> None:
    """A list of referrers that never ends is cut off."""
    registry = registry_with(lambda asked: answer_index("one", Link=f'<?x={asked.query}1>; rel="next"'))
    async with make_client(registry) as client:
        with pytest.raises(RegistryProtocolError):
            await client.list_referrers(A, SUBJECT)
    assert MAX_BARREN_PAGES + 1 == client.ledger.total
