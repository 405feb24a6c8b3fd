"""Amazon ECR and ECR Public: an API of actions lists repositories and images, untagged ones too, with times.

Sources: the published interfaces of 2015-09-21 and 2020-10-30, as botocore has them. What differs from the
plain API:

- Everything is a POST to `/` of another host, signed (Signature Version 4); the header X-Amz-Target names the
  action. `wire.READ_ACTIONS` has the three that are ever sent.
- Pages go on by `nextToken` in the body, at most 1,000 a page. Whatever is wrong is a 400; `__type` in the
  body says what.
- DescribeImages tells each manifest with its tags, media type and time, and leaves out what is archived,
  which cannot be pulled. `imageSizeInBytes` is what the image weighs, of an index its largest child.
- The registry wants Basic with the user AWS and a password that GetAuthorizationToken gives for 12 hours.
- Whether tags can be moved is said of a repository, with patterns for which the contrary is true.
- ECR Public tells this of one's own repositories only, which are below one's alias (`namespaces`); all others
  are read as anybody reads them.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from graph.errors import RegistryDeniedError, RegistryUnsupportedError, SettingsError
from graph.oci.digest import parse_digest
from graph.oci.locks import Locks
from graph.oci.reference import RepositoryName, parse_repository_name, parse_tag_name
from graph.registry.amazon import PasswordIdentity, Service, next_query, refusal_of
from graph.registry.aws import AwsSigner
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.dialect import NOTHING, Ask, Clock, Entry, Reader, fall_back
from graph.registry.dialects.images import ImageLists, ListedImage
from graph.registry.dialects.oci import OciDialect
from graph.registry.entries import ListedManifest, ListedTag
from graph.registry.identity import IdentitySource
from graph.registry.ledger import RequestKind
from graph.registry.listing import Document, Listing, Paging
from graph.registry.origin import host_of
from graph.registry.signer import Signer
from graph.registry.times import parse_epoch
from graph.registry.wire import Login
from graph.settings import RegistrySettings

# `<account>.dkr.ecr.<region>.amazonaws.com`, and where FIPS, China or two stacks are meant.
_PRIVATE = re.compile(
    r"(?P<account>\d{12})\.dkr\.(?P<service>ecr|ecr-fips)"
    r"\.(?P<region>[a-z0-9-]+)\.(?P<cloud>amazonaws\.com(?:\.cn)?)"
)
_DUAL_STACK = re.compile(r"(?P<account>\d{12})\.dkr-ecr\.(?P<region>[a-z0-9-]+)\.on\.aws")
_PUBLIC = "public.ecr.aws"

# Repositories whose mutability is remembered; Amazon's limit for one registry is 100,000.
MAX_REPOSITORIES = 100_000


class EcrDialect(OciDialect):
    """Amazon ECR."""

    name = "ecr"
    capabilities: Mapping[Capability, CapabilityState] = {
        **OciDialect.capabilities,
        Capability.CATALOG: CapabilityState.SUPPORTED,
        Capability.TAG_DIGESTS: CapabilityState.SUPPORTED,
        Capability.UNTAGGED_LISTING: CapabilityState.SUPPORTED,
        Capability.PUSH_TIME: CapabilityState.SUPPORTED,
        Capability.LOCKS: CapabilityState.SUPPORTED,
        Capability.EVENTS: CapabilityState.SUPPORTED,  # EventBridge, "ECR Image Action"
    }

    def __init__(self, settings: RegistrySettings, signer: Signer | None = None) -> None:
        """`signer` takes the place of the credentials that Amazon's tools would find.

        Raises SettingsError where the host tells no region, and where botocore is needed and missing.
        """
        super().__init__(settings)
        self.service = self._find_service(settings)
        self._lists = ImageLists()
        self._mutability: dict[RepositoryName, Document] = {}
        self._signer = signer if self._wants_api() else None
        if self._wants_api() and signer is None:
            try:
                self._signer = AwsSigner(self.service.name, self.service.region)
            except SettingsError:
                if not self.settings.has_login:
                    raise
        if self._signer is not None:
            self.apis: Sequence[str] = (self.service.api,)
        else:
            # A login will do for the plain API, which has no catalog here.
            self.capabilities = {
                **OciDialect.capabilities,
                Capability.CATALOG: CapabilityState.UNSUPPORTED,
            }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """The host of a private registry has its account and its region."""
        return bool(_PRIVATE.fullmatch(host) or _DUAL_STACK.fullmatch(host))

    def _find_service(self, settings: RegistrySettings) -> Service:
        host = host_of(settings.url.partition("://")[2])
        target = "AmazonEC2ContainerRegistry_V20150921"
        if match := _PRIVATE.fullmatch(host):
            api = f"https://api.{match['service']}.{match['region']}.{match['cloud']}"
        elif match := _DUAL_STACK.fullmatch(host):
            api = f"https://ecr.{match['region']}.api.aws"
        else:
            raise SettingsError([f"dialect: {host} is no host of Amazon ECR, which names account and region"])
        return Service("ecr", target, match["region"], settings.api_url or api, match["account"])

    def _wants_api(self) -> bool:
        return True

    def _own_name(self, repository: RepositoryName) -> str | None:
        """What the API calls a repository; None for one that it does not tell of."""
        return repository

    def _repository_of(self, item: Any) -> RepositoryName:
        return parse_repository_name(item["repositoryName"])

    def open_identity(self, ask: Ask, clock: Clock) -> IdentitySource | None:
        """The password of twelve hours, unless the settings have a login."""
        if self._signer is None or self.settings.has_login:
            return None
        return PasswordIdentity(self.settings, self.service, ask, clock)

    def open_signer(self, api: str, identity: IdentitySource, clock: Clock) -> Signer | None:
        """Signature Version 4."""
        return self._signer

    def repositories(self, *names: str) -> Listing[RepositoryName]:
        """DescribeRepositories, of all or of some."""
        body = self.service.body(repositoryNames=list(names))
        return self._listing(
            RequestKind.VENDOR if names else RequestKind.CATALOG,
            "DescribeRepositories",
            body,
            lambda page: page.get("repositories"),
            self._parse_repository,
            lambda item: item["repositoryName"],
        )

    def images(self, repository: RepositoryName, kind: RequestKind) -> Listing[ListedImage]:
        """DescribeImages. Raises RegistryUnsupportedError for a repository that is not told of."""
        name = self._own_name(repository)
        if name is None:
            raise RegistryUnsupportedError(
                f"{self.settings.name} tells of the untagged manifests of one's own repositories only",
                registry=self.settings.name,
            )
        return self._listing(
            kind,
            "DescribeImages",
            self.service.body(repositoryName=name),
            lambda page: page.get("imageDetails"),
            lambda item: _parse_image(item, self._mutability.get(repository)),
            lambda item: item["imageDigest"],
        )

    def _listing(
        self,
        kind: RequestKind,
        action: str,
        body: Callable[[str], str],
        read: Callable[[Any], Any],
        parse: Callable[[Any], Entry],
        name_of: Callable[[Any], Any],
    ) -> Listing[Entry]:
        return Listing(
            kind,
            "/",
            None,
            read,
            parse,
            name_of,
            Paging("maxResults", 1_000, next_of=next_query, has_own_cursor=False),
            self.service.api,
            Login.SIGNED,
            refusal_of=refusal_of,
            action=(self.service.action(action), body),
        )

    async def list_repositories(self, reader: Reader) -> AsyncIterator[Sequence[RepositoryName]]:
        """The repositories of the registry."""
        if self._signer is None:
            raise RegistryUnsupportedError(
                f"{self.settings.name} lists its repositories for credentials of Amazon only",
                registry=self.settings.name,
            )
        async for page in reader.pages(self.repositories()):
            yield page

    def list_tags(self, reader: Reader, repository: RepositoryName) -> AsyncIterator[Sequence[ListedTag]]:
        """The tags with what they name, from the list of images."""
        plain = reader.pages(self.tags(repository))
        if self._signer is None or self._own_name(repository) is None:
            return plain
        own = self._lists.tags(repository, self._images(reader, repository, RequestKind.TAGS))
        # What one's credentials may not see in one repository they may in another.
        return fall_back(reader, own, plain, NOTHING)

    def list_manifests(
        self, reader: Reader, repository: RepositoryName
    ) -> AsyncIterator[Sequence[ListedManifest]]:
        """Every manifest that is not archived, from the list of images that told the tags."""
        return self._lists.manifests(repository, self._images(reader, repository, RequestKind.MANIFESTS))

    async def _images(
        self, reader: Reader, repository: RepositoryName, kind: RequestKind
    ) -> AsyncIterator[Sequence[ListedImage]]:
        listing = self.images(repository, kind)
        if self.capabilities[Capability.LOCKS] is CapabilityState.SUPPORTED:
            await self._find_mutability(reader, repository)
        async for page in reader.pages(listing):
            yield page

    async def _find_mutability(self, reader: Reader, repository: RepositoryName) -> None:
        """Ask whether tags can be moved, where no catalog has told; without an answer it is not known."""
        if repository in self._mutability:
            return
        try:
            async for _ in reader.pages(self.repositories(self._own_name(repository) or "")):
                pass
        except RegistryDeniedError:
            self._remember(repository, {})

    def _parse_repository(self, item: Any) -> RepositoryName:
        repository = self._repository_of(item)
        self._remember(repository, item)
        return repository

    def _remember(self, repository: RepositoryName, item: Document) -> None:
        self._mutability.pop(repository, None)
        while len(self._mutability) >= MAX_REPOSITORIES:
            del self._mutability[next(iter(self._mutability))]
        keys = ("imageTagMutability", "imageTagMutabilityExclusionFilters")
        self._mutability[repository] = {key: item[key] for key in keys if key in item}


class EcrPublicDialect(EcrDialect):
    """Amazon ECR Public, one's own repositories."""

    name = "ecr-public"
    capabilities: Mapping[Capability, CapabilityState] = {
        **EcrDialect.capabilities,
        Capability.LOCKS: CapabilityState.UNSUPPORTED,
    }

    @classmethod
    def speaks_at(cls, host: str) -> bool:
        """There is one."""
        return host == _PUBLIC

    def _find_service(self, settings: RegistrySettings) -> Service:
        region = "us-east-1"  # the only one
        api = settings.api_url or f"https://api.ecr-public.{region}.amazonaws.com"
        return Service("ecr-public", "SpencerFrontendService", region, api)

    def _wants_api(self) -> bool:
        return bool(self.settings.namespaces)

    def _own_name(self, repository: RepositoryName) -> str | None:
        alias, _, name = repository.partition("/")
        return name if alias in self.settings.namespaces and name else None

    def _repository_of(self, item: Any) -> RepositoryName:
        # `public.ecr.aws/<alias>/<name>`: the alias is in no other place.
        return parse_repository_name(item["repositoryUri"].partition("/")[2])


def _parse_image(item: Any, mutability: Document | None) -> ListedImage:
    digest, media_type = parse_digest(item["imageDigest"]), item.get("imageManifestMediaType")
    manifest = ListedManifest(
        digest,
        media_type if isinstance(media_type, str) else None,
        pushed_at=parse_epoch(item.get("imagePushedAt")),
    )
    tags = [parse_tag_name(tag) for tag in item.get("imageTags") or ()]
    return ListedImage(
        manifest, tuple(ListedTag(tag, digest, locks=_locks_of(tag, mutability)) for tag in tags)
    )


def _locks_of(tag: str, mutability: Document | None) -> Locks | None:
    setting = (mutability or {}).get("imageTagMutability")
    if not isinstance(setting, str):
        return None
    filters = (mutability or {}).get("imageTagMutabilityExclusionFilters")
    is_excluded = setting.endswith("_WITH_EXCLUSION") and any(
        _fits(tag, each.get("filter")) for each in filters or () if isinstance(each, dict)
    )
    return Locks(None, setting.startswith("MUTABLE") is not is_excluded, None, None)


def _fits(tag: str, pattern: Any) -> bool:
    """Whether a tag fits a pattern, in which only `*` stands for anything."""
    if not isinstance(pattern, str):
        return False
    first, *middle = pattern.split("*")
    if not middle:
        return tag == pattern
    last = middle.pop()
    if not tag.startswith(first) or not tag.endswith(last) or len(tag) < len(first) + len(last):
        return False
    at, end = len(first), len(tag) - len(last)
    for part in middle:  # the leftmost place is as good as any, so that this is no search of all
        found = tag.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
