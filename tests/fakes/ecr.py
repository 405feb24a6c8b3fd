"""Amazon ECR as far as it is published: an API of actions beside the registry, which wants Basic.

Built from botocore, data/ecr/2015-09-21 and data/ecr-public/2020-10-30: POST to `/` with X-Amz-Target, pages
by `nextToken`, at most 1,000 a page, times in seconds with a fraction, errors as 400 with `__type`, archived
images left out unless asked for. It looks whether there is a signature, and asks `verify` whether it is
right.
"""

import base64
import json
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, Request, error_answer, json_answer

ACCOUNT = "123456789012"
HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
PASSWORD = "eyJwYXlsb2FkIjoi"
PUSHED = 1_764_000_000.123
DEFAULT_PAGE, LARGEST_PAGE = 100, 1_000

Call = tuple[str, dict[str, Any]]


class EcrRegistry(SampleRegistry):
    """`calls` has the actions that were asked for; `denied` those that these credentials may not.

    `mutability` is what a repository says of its tags; `archived` has digests; `expires_at` is when the next
    password ends. `alias` makes it ECR Public, where names begin with it.
    """

    def __init__(self, *, alias: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.alias = alias
        self.target = "SpencerFrontendService" if alias else "AmazonEC2ContainerRegistry_V20150921"
        self.calls: list[Call] = []
        self.denied: set[str] = set()
        self.archived: set[str] = set()
        self.mutability: dict[str, Mapping[str, Any]] = {}
        self.expires_at = 2_000_000_000.0
        self.verify: Callable[[Request, bytes], bool] = lambda request, body: True
        self._body = b""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        self._body = b""
        if scope.get("method") == "POST":
            more = True
            while more:
                message = await receive()
                self._body += message.get("body", b"")
                more = message.get("more_body", False)
        await super().__call__(scope, receive, send)

    def answer(self, request: Request) -> Answer:
        if request.method == "POST" and request.path == "/":
            return self._fault(request) or self._act(request)
        wanted = "Basic " + base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
        if self.alias is None and request.headers.get("authorization") != wanted:
            refusal = error_answer(401, "UNAUTHORIZED", "Not Authorized")
            challenge = ("WWW-Authenticate", f'Basic realm="https://{HOST}/",service="ecr.amazonaws.com"')
            return Answer(401, (*refusal.headers, challenge), b"Not Authorized\n")
        if request.path == "/v2/_catalog":
            return error_answer(401, "UNAUTHORIZED", "there is no catalog here")
        return super().answer(request)

    def _act(self, request: Request) -> Answer:
        service, _, action = request.headers.get("x-amz-target", "").rpartition(".")
        authorization = request.headers.get("authorization", "")
        if not authorization.startswith("AWS4-HMAC-SHA256 ") or not self.verify(request, self._body):
            return _refuse("InvalidSignatureException", "The request signature does not match")
        if service != self.target or request.headers.get("content-type") != "application/x-amz-json-1.1":
            return _refuse("UnknownOperationException", "")
        question = json.loads(self._body)
        self.calls.append((action, question))
        if action in self.denied:
            return _refuse("AccessDeniedException", f"User is not authorized to perform: ecr:{action}")
        if action == "GetAuthorizationToken":
            data = {
                "authorizationToken": base64.b64encode(f"AWS:{PASSWORD}".encode()).decode(),
                "expiresAt": self.expires_at,
            }
            return _json({"authorizationData": data if self.alias else [data]})
        if action == "DescribeRepositories":
            wanted = question.get("repositoryNames")
            names = sorted(map(self._short, self.repositories))
            if wanted is not None:
                names = [name for name in names if name in wanted]
                if not names:
                    return _refuse("RepositoryNotFoundException", f"{wanted} does not exist")
            return self._page(question, "repositories", [self._show_repository(name) for name in names])
        if action == "DescribeImages":
            stored = self.repositories.get(self._long(question["repositoryName"]))
            if stored is None:
                return _refuse("RepositoryNotFoundException", f"{question['repositoryName']} does not exist")
            status = question.get("filter", {}).get("imageStatus", "ACTIVE")
            shown = [
                self._show_image(question["repositoryName"], digest)
                for digest in sorted(stored.manifests)
                if (digest in self.archived) is (status == "ARCHIVED")
            ]
            return self._page(question, "imageDetails", shown)
        return _refuse("UnknownOperationException", "")

    def _short(self, name: str) -> str:
        return name.removeprefix(f"{self.alias}/")

    def _long(self, name: str) -> str:
        return f"{self.alias}/{name}" if self.alias else name

    def _show_repository(self, name: str) -> dict[str, Any]:
        host = "public.ecr.aws" if self.alias else HOST
        shown = {
            "repositoryName": name,
            "registryId": ACCOUNT,
            "repositoryUri": f"{host}/{self._long(name)}",
            "createdAt": PUSHED,
        }
        return (
            shown if self.alias else {**shown, **self.mutability.get(name, {"imageTagMutability": "MUTABLE"})}
        )

    def _show_image(self, name: str, digest: str) -> dict[str, Any]:
        stored = self.repositories[self._long(name)]
        tags = sorted(tag for tag, target in stored.tags.items() if target == digest)
        shown = {
            "registryId": ACCOUNT,
            "repositoryName": name,
            "imageDigest": digest,
            "imageSizeInBytes": 123_456,
            "imagePushedAt": PUSHED,
            "imageManifestMediaType": stored.manifests[digest].media_type,
        }
        return {**shown, "imageTags": tags} if tags else shown

    def _page(self, question: Mapping[str, Any], kind: str, items: list[dict[str, Any]]) -> Answer:
        size = question.get("maxResults", DEFAULT_PAGE)
        if not 1 <= size <= LARGEST_PAGE:
            return _refuse("InvalidParameterException", "maxResults is not within 1 and 1000")
        start = 0
        if "nextToken" in question:
            start = json.loads(base64.b64decode(question["nextToken"]))["from"]
        end = start + size
        token = base64.b64encode(json.dumps({"from": end, "pad": "+/="}).encode()).decode()
        return _json({kind: items[start:end], **({"nextToken": token} if end < len(items) else {})})


def _json(document: object) -> Answer:
    return json_answer(document, media_type="application/x-amz-json-1.1")


def _refuse(kind: str, message: str) -> Answer:
    body = json.dumps({"__type": kind, "message": message}).encode()
    return Answer(400, (("Content-Type", "application/x-amz-json-1.1"),), body)


class Signs:
    """Signs as little as the double looks at, for tests of what is asked for."""

    async def sign(self, request: Any, send: Any) -> tuple[tuple[str, str], ...]:
        return (("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE"),)

    def is_worth_another(self, request: Any) -> bool:
        return False
