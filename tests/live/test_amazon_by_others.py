"""Amazon's own client reads the double of ECR, and its own signer finds our signatures right."""

import base64
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from builders import make_image
from fakes.ecr import HOST, PUSHED, EcrRegistry
from graph.errors import RegistryDeniedError
from graph.oci.reference import RepositoryName
from graph.registry.client import RegistryClient
from graph.registry.exchange import RetryPolicy
from graph.sample.answers import Request
from graph.settings import RegistrySettings
from live.rigs import find_tool, free_port, process, run, wait_until
from live.seeding import docker_url

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

WEB = RepositoryName("samples/web")
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")

SERVER = """\
import sys, uvicorn
from builders import make_image
from fakes.ecr import EcrRegistry
registry = EcrRegistry()
for number in range(250):
    image = make_image(labels={"number": str(number)})
    registry.put_manifest("samples/web", image.data, image.media_type, f"v{number}" if number % 2 else None)
for number in range(150):
    registry.put_repository(f"empty/{number}")
uvicorn.run(registry, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials in variables, and no other place to find any."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEYS[0],
        "AWS_SECRET_ACCESS_KEY": KEYS[1],
        "AWS_SESSION_TOKEN": "a session",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def is_there(port: int) -> bool:
    """Whether something listens; the double answers 401 to whoever does not log in."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The double with 250 images, half of them untagged, and 150 empty repositories, on loopback."""
    port, log = free_port(), tmp_path / "double.log"
    path = {"PYTHONPATH": ":".join(sys.path)}
    with process([sys.executable, "-c", SERVER, str(port)], log, path):
        wait_until("the double", lambda: is_there(port) or None)
        yield f"http://127.0.0.1:{port}"


@pytest.mark.usefixtures("credentials")
def test_amazons_client_reads_the_double(url: str) -> None:
    """Amazon's client pages through repositories and images, and gets a password."""
    ecr = boto3.Session().client("ecr", region_name="eu-west-1", endpoint_url=url)

    repositories = list(ecr.get_paginator("describe_repositories").paginate().search("repositories[]"))
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=WEB)
    images = list(pages.search("imageDetails[]"))
    (data,) = ecr.get_authorization_token()["authorizationData"]

    assert 151 == len({each["repositoryName"] for each in repositories})
    assert 250 == len({each["imageDigest"] for each in images})
    assert 125 == sum(bool(each.get("imageTags")) for each in images)
    assert {PUSHED} == {each["imagePushedAt"].timestamp() for each in images}
    assert data["authorizationToken"] and 2033 == data["expiresAt"].year
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_images(repositoryName="nothing")


@pytest.mark.usefixtures("credentials")
def test_skopeo_logs_in_with_the_password(url: str) -> None:
    """The password that Amazon's client gets opens the registry to skopeo, which finds every tag."""
    ecr = boto3.Session().client("ecr", region_name="eu-west-1", endpoint_url=url)
    (data,) = ecr.get_authorization_token()["authorizationData"]
    password = base64.b64decode(data["authorizationToken"]).decode()
    skopeo = [find_tool("skopeo"), "list-tags", "--tls-verify=false", docker_url(url, WEB)]

    listed = json.loads(run([*skopeo, "--creds", password]))["Tags"]

    assert {f"v{number}" for number in range(1, 250, 2)} == set(listed)
    with pytest.raises(RuntimeError, match="authentication required|nauthorized"):
        run(skopeo)


def is_signed(request: Request, body: bytes) -> bool:
    """Whether Amazon's signer would have signed the request as it arrived in the same way."""
    _, _, told = request.headers["authorization"].partition(" ")
    parts: dict[str, Any] = dict(part.strip().split("=", 1) for part in told.split(","))
    signer = SigV4Auth(Credentials(*KEYS, "a session"), "ecr", "eu-west-1")
    arrived = AWSRequest(
        method=request.method,
        url=f"https://{request.headers['host']}{request.path}",
        data=body,
        headers={name: request.headers[name] for name in parts["SignedHeaders"].split(";")},
    )
    arrived.context["timestamp"] = request.headers["x-amz-date"]
    canonical = signer.canonical_request(arrived)
    return bool(parts["Signature"] == signer.signature(signer.string_to_sign(arrived, canonical), arrived))


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_our_signatures_are_right() -> None:
    """What arrives is what was signed, by the credentials that Amazon's tools find."""
    registry = EcrRegistry()
    registry.verify = is_signed
    image = make_image()
    registry.put_manifest(WEB, image.data, image.media_type, "v1")
    settings = RegistrySettings(url=f"https://{HOST}")

    async with RegistryClient(settings, httpx.ASGITransport(registry)) as client:
        names = [name async for page in client.list_repositories() for name in page]
        tags = [tag.name async for page in client.list_tags(WEB) for tag in page]
        identity = await client.identify()

    assert ([WEB], ["v1"]) == (names, tags)
    assert identity.credentials is not None
    asked = ["DescribeRepositories", "DescribeImages", "GetAuthorizationToken"]
    assert asked == [action for action, _ in registry.calls]


@pytest.mark.anyio
@pytest.mark.usefixtures("credentials")
async def test_nobody_has_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Amazon's tools find nothing that is said, and nothing is sent."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    registry = EcrRegistry()
    settings = RegistrySettings(url=f"https://{HOST}")
    retries = RetryPolicy(attempts=1)

    async with RegistryClient(settings, httpx.ASGITransport(registry), retries=retries) as client:
        with pytest.raises(RegistryDeniedError):
            [page async for page in client.list_repositories()]

    assert [] == registry.requests
