"""Answer the distribution API from the files of a layout: httpx's interface, with no network behind it.

It answers `/v2/`, manifests, configs and referrers as the specification has them, and lists whole; below
`/layout/` it has what only a file can tell, every manifest there is (see the dialect `layout`). Rules of this
file: only GET and HEAD; a blob is read if it is no larger than a config may be; what is asked for is looked
up among what is held before any file is opened. The files are read again when they have changed.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from graph.errors import ContentTooLargeError, InvalidDigestError
from graph.oci.digest import Digest, parse_digest
from graph.oci.media_types import OCI_IMAGE_INDEX
from graph.oci.reference import RepositoryName, TagName
from graph.places import LayoutKind
from graph.registry.layouts.contents import Contents, HeldRepository, repository_of_file
from graph.registry.layouts.docker_archive import read_docker_archive
from graph.registry.layouts.files import Archive, Files, Stamp, open_files
from graph.registry.layouts.layout import read_layout
from graph.registry.layouts.members import LayoutError
from graph.registry.threads import OwnThread
from graph.registry.wire import MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES

_LIST = re.compile(r"/(?P<api>v2|layout)/(?P<name>.+)/(?P<list>tags/list|tags|manifests)")
_ITEM = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|referrers)/(?P<reference>[^/]+)")


class MalformedLayoutError(httpx.ProtocolError):
    """It can be read and is no layout; the text continues "the registry …"."""


class UnreadableLayoutError(httpx.NetworkError):
    """It cannot be read; the text continues "the registry …"."""


class MissingFileError(httpx.RequestError):
    """A file that it names is not there; the text continues "the registry …"."""


class LayoutTransport(httpx.AsyncBaseTransport):
    """A layout at a path, or one image of it, as a registry."""

    def __init__(self, kind: LayoutKind, path: Path, image: str | None = None) -> None:
        self._kind = kind
        self._path = path
        self._image = image
        self._default = repository_of_file(path.name)
        self._files: Files | None = None
        self._stamp: Stamp | None = None
        self._contents = Contents()
        # One: each answer is short, and a change must not be read twice at once.
        self._thread = OwnThread("ocigraph-layout")

    def __repr__(self) -> str:
        return f"LayoutTransport({str(self._path)!r})"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; raises one of the errors above where there is none."""
        return await self._thread.run(partial(self._handle, request.method, request.url.path))

    async def aclose(self) -> None:
        """Let go of the thread."""
        self._thread.close()

    def _handle(self, method: str, path: str) -> httpx.Response:
        if method not in ("GET", "HEAD"):
            return _refuse(405, "UNSUPPORTED")
        try:
            response = self._answer(path)
        except LayoutError as error:
            raise MalformedLayoutError(str(error)) from None
        except OSError as error:
            raise UnreadableLayoutError(f"cannot be read: {error.strerror or error}") from None
        if method == "HEAD":
            response.stream = httpx.ByteStream(b"")
        return response

    def _load(self) -> tuple[Files, Contents]:
        """The files and what they hold, as they are now."""
        is_archive = self._kind is LayoutKind.DOCKER_ARCHIVE
        if self._files is None:
            self._files = Archive(self._path) if is_archive else open_files(self._path)
        stamp = self._files.stamp()
        if stamp != self._stamp:
            read = read_docker_archive if is_archive else read_layout
            self._contents = read(self._files, self._default, self._image)
            self._stamp = stamp
        return self._files, self._contents

    def _answer(self, path: str) -> httpx.Response:
        files, contents = self._load()
        if path == "/v2/":
            return _answer_json({})
        if path == "/v2/_catalog":
            return _answer_json({"repositories": sorted(contents.repositories)})
        match = _ITEM.fullmatch(path) or _LIST.fullmatch(path)
        repository = contents.repositories.get(RepositoryName(match["name"])) if match else None
        if match is None or repository is None:
            return _refuse(404, "NAME_UNKNOWN")
        if match.re is _LIST:
            return _answer_list(match["api"], match["list"], repository)
        try:
            if match["kind"] == "manifests":
                return self._answer_manifest(files, contents, repository, match["reference"])
            digest = parse_digest(match["reference"])
            if match["kind"] == "referrers":
                return _answer_referrers(repository, digest)
            data = _read(files, contents.path_of(digest), MAX_CONFIG_BYTES)
            return _answer(data, "application/octet-stream", digest)
        except InvalidDigestError:
            return _refuse(400, "DIGEST_INVALID")
        except ContentTooLargeError:
            return _refuse(404, "BLOB_UNKNOWN")

    def _answer_manifest(
        self, files: Files, contents: Contents, repository: HeldRepository, reference: str
    ) -> httpx.Response:
        digest = parse_digest(reference) if ":" in reference else repository.tags.get(TagName(reference))
        if digest is None and TagName(reference) in repository.damaged:
            raise LayoutError(repository.damaged[TagName(reference)])
        held = None if digest is None else repository.find(digest)
        if digest is None or held is None:
            return _refuse(404, "MANIFEST_UNKNOWN")
        if held.data is not None:
            return _answer(held.data, held.media_type, digest)
        path = contents.path_of(digest)
        try:
            data = _read(files, path, MAX_MANIFEST_BYTES)
        except ContentTooLargeError:
            # As a registry does it: whoever reads the length does not read on.
            return _answer(b"", held.media_type, digest, size=files.size(path))
        if digest in repository.missing:
            self._stamp = None  # the file has come since: so may have what it leads to
        return _answer(data, held.media_type, digest)


def _read(files: Files, path: str, limit: int) -> bytes:
    """The file; raises what it comes to for the one who asked where it cannot be read."""
    try:
        return files.read(path, limit)
    except FileNotFoundError:
        raise MissingFileError(f"lacks the file {path}") from None
    except OSError as error:
        raise MalformedLayoutError(f"has a file that cannot be read, {path}: {error.strerror}") from None


def _answer_list(api: str, kind: str, repository: HeldRepository) -> httpx.Response:
    if (api, kind) == ("v2", "tags/list"):
        return _answer_json({"tags": sorted({**repository.tags, **repository.damaged})})
    if (api, kind) == ("layout", "tags"):
        digests = {**dict.fromkeys(repository.damaged), **repository.tags}
        return _answer_json({"tags": [{"name": tag, "digest": digests[tag]} for tag in sorted(digests)]})
    if (api, kind) == ("layout", "manifests"):
        if repository.damage is not None:
            raise LayoutError(repository.damage)
        manifests = [
            {"digest": digest, "mediaType": held.media_type, "size": held.size}
            for digest, held in repository.manifests.items()
        ]
        return _answer_json({"manifests": manifests})
    return _refuse(404, "NAME_UNKNOWN")


def _answer_referrers(repository: HeldRepository, subject: Digest) -> httpx.Response:
    referrers = [
        {
            "mediaType": held.media_type,
            "digest": digest,
            "size": held.size,
            **({"artifactType": held.artifact_type} if held.artifact_type else {}),
            "annotations": dict(held.annotations),
        }
        for digest, held in repository.manifests.items()
        if held.subject == subject
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX, "manifests": referrers}
    return _respond(json.dumps(index).encode(), OCI_IMAGE_INDEX)


def _answer(data: bytes, media_type: str, digest: Digest, *, size: int | None = None) -> httpx.Response:
    length = len(data) if size is None else size
    return _respond(data, media_type, {"Docker-Content-Digest": digest, "Content-Length": str(length)})


def _answer_json(document: Any) -> httpx.Response:
    return _respond(json.dumps(document).encode(), "application/json")


def _refuse(status: int, code: str) -> httpx.Response:
    return _respond(json.dumps({"errors": [{"code": code}]}).encode(), "application/json", status=status)


def _respond(
    data: bytes, media_type: str, headers: Mapping[str, str] | None = None, *, status: int = 200
) -> httpx.Response:
    described = {"Content-Type": media_type, "Content-Length": str(len(data)), **(headers or {})}
    return httpx.Response(status, headers=described, stream=httpx.ByteStream(data))
