"""Read an OCI image layout (image-spec 1.1, image-layout.md): its index, and every manifest that leads on.

Rules of this file: what the index names and what that names is there, if its file is; a blob that nothing
names may be anything and is not looked at. A tag is there even if its file is missing, and a file that cannot
be read, or is not what its digest says, is listed and leads nowhere: whoever asks for them finds out. An
entry without a name that refers to something goes where that is.
"""

from collections import deque

from graph.errors import ContentError
from graph.oci.descriptor import Descriptor
from graph.oci.digest import Digest, verify_digest
from graph.oci.document import decode_json
from graph.oci.manifest import ImageIndex, Manifest, parse_manifest
from graph.oci.media_types import MANIFEST_TYPES, OCI_IMAGE_INDEX
from graph.oci.reference import RepositoryName
from graph.registry.layouts.contents import Contents, Held, HeldRepository, blob_path, is_meant, read_name
from graph.registry.layouts.files import Files
from graph.registry.layouts.members import LayoutError
from graph.registry.wire import MAX_MANIFEST_BYTES

# Manifests of one layout, each counted once for every repository it is in: ten times the entries that an
# index may have, and some 100 MB of memory.
MAX_MANIFESTS = 100_000
# Bytes of the file that says which version of the layout it is: some thirty.
MAX_VERSION_BYTES = 4096


def read_layout(files: Files, default: RepositoryName, image: str | None = None) -> Contents:
    """All that the layout holds, or one image of it; what has no name goes into the repository `default`.

    Raises LayoutError where it is none, or has no image of this name.
    """
    _check_version(files)
    walk = _Walk(files)
    nameless: list[Descriptor] = []
    for entry in _read_index(files).manifests:
        name, tag = read_name(entry.annotations, default)
        if tag is None:
            nameless.append(entry)
        elif entry.media_type in MANIFEST_TYPES and is_meant(entry.annotations, image):
            repository = walk.contents.repository(name)
            if not walk.add(repository, entry):
                repository.missing[entry.digest] = Held(entry.media_type, entry.size)
            repository.tags[tag] = entry.digest
    if image is not None and not walk.contents.repositories:
        raise LayoutError(f"holds no image that is called {image!r}")
    _place(walk, nameless, default if image is None else None)
    return walk.contents


def _check_version(files: Files) -> None:
    try:
        document = decode_json(files.read("oci-layout", MAX_VERSION_BYTES))
    except FileNotFoundError:
        raise LayoutError("is no OCI image layout: it has no file oci-layout") from None
    except ContentError:
        document = None
    version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
    if not isinstance(version, str) or not version.startswith("1."):
        raise LayoutError("is an OCI image layout of a version that is not known here")


def _read_index(files: Files) -> ImageIndex:
    try:
        index = parse_manifest(files.read("index.json", MAX_MANIFEST_BYTES), OCI_IMAGE_INDEX)
    except FileNotFoundError:
        raise LayoutError("is no OCI image layout: it has no file index.json") from None
    except ContentError as error:
        raise LayoutError(f"has an index.json that cannot be read: {error}") from None
    if not isinstance(index, ImageIndex):
        raise LayoutError("has an index.json that is no index")
    return index


def _place(walk: "_Walk", nameless: list[Descriptor], default: RepositoryName | None) -> None:
    """Put entries without a name where their subject is; what is left goes into `default`, if given."""
    contents = walk.contents
    referrers: dict[Digest, list[Descriptor]] = {}
    for entry in nameless:
        subject = walk.subject_of(entry)
        if subject is not None:
            referrers.setdefault(subject, []).append(entry)
    placed: set[Digest] = set()
    for repository in list(contents.repositories.values()):
        waiting = deque(repository.manifests)
        while waiting:
            for entry in referrers.get(waiting.popleft(), ()):
                placed.add(entry.digest)
                if entry.digest not in repository.manifests and walk.add(repository, entry):
                    waiting.append(entry.digest)
    for entry in nameless:
        if default is not None and entry.digest not in placed:
            walk.add(contents.repository(default), entry)


class _Walk:
    """Follows descriptors to manifests, and what was read once is not read again."""

    def __init__(self, files: Files) -> None:
        self.contents = Contents()
        self._files = files
        self._known: dict[Digest, tuple[Held, tuple[Descriptor, ...]] | None] = {}
        self._count = 0

    def add(self, repository: HeldRepository, entry: Descriptor) -> bool:
        """Put what the descriptor names, and all below it, into the repository; whether it is there."""
        waiting = deque([entry])
        while waiting:
            descriptor = waiting.popleft()
            known = self._read(descriptor)
            if known is None or descriptor.digest in repository.manifests:
                continue
            self._count += 1
            if self._count > MAX_MANIFESTS:
                raise LayoutError(f"holds more than {MAX_MANIFESTS} manifests")
            repository.manifests[descriptor.digest], children = known
            waiting.extend(children)
        return entry.digest in repository.manifests

    def subject_of(self, entry: Descriptor) -> Digest | None:
        """What the manifest refers to."""
        known = self._read(entry)
        return None if known is None else known[0].subject

    def _read(self, descriptor: Descriptor) -> tuple[Held, tuple[Descriptor, ...]] | None:
        if descriptor.digest not in self._known:
            self._known[descriptor.digest] = self._look(descriptor)
        return self._known[descriptor.digest]

    def _look(self, descriptor: Descriptor) -> tuple[Held, tuple[Descriptor, ...]] | None:
        """A manifest and its children; None where there is no file, or what is named is no manifest.

        That a child's file is missing is legal: an index may be of more platforms than were copied.
        """
        if descriptor.media_type not in MANIFEST_TYPES:
            return None
        path, size = blob_path(descriptor.digest), descriptor.size
        try:
            size = self._files.size(path)
            data = self._files.read(path, MAX_MANIFEST_BYTES)
            verify_digest(data, descriptor.digest)
            manifest = parse_manifest(data, descriptor.media_type, descriptor.digest)
        except FileNotFoundError:
            return None
        except (ContentError, LayoutError, OSError):
            return Held(descriptor.media_type, size), ()
        return hold(manifest, descriptor.media_type), (
            manifest.manifests if isinstance(manifest, ImageIndex) else ()
        )


def hold(manifest: Manifest, media_type: str, data: bytes | None = None) -> Held:
    """What is kept of a manifest."""
    subject = None if manifest.subject is None else manifest.subject.digest
    if subject is None:
        return Held(media_type, manifest.size, data=data)
    return Held(media_type, manifest.size, subject, manifest.artifact_type, manifest.annotations, data)
