"""Every error this package raises, as one tree. The first level says who must act.

    GraphError
    ├── InputError                 the caller must change something; no request was made
    │   ├── InvalidReferenceError
    │   ├── InvalidNameError
    │   ├── InvalidDigestError
    │   ├── InvalidCursorError
    │   ├── InvalidPageError
    │   ├── InvalidFilterError
    │   ├── InvalidIdError
    │   ├── UnknownRegistryError
    │   ├── UnknownMemberError
    │   ├── PlatformNotFoundError
    │   ├── InvalidQueryError
    │   ├── QueryTooCostlyError
    │   ├── QueryTooDeepError
    │   ├── TooManyAliasesError
    │   └── TooManyTokensError
    ├── SettingsError              the operator must change something
    ├── RegistryError              the registry's doing
    │   ├── RegistryUnreachableError
    │   ├── RegistryFailedError
    │   ├── RegistryThrottledError
    │   ├── RegistryDeniedError
    │   ├── RegistryUnknownError
    │   ├── RegistryUnsupportedError
    │   └── RegistryProtocolError
    ├── ContentError               bytes disagree with what names them; never stored
    │   ├── DigestMismatchError
    │   ├── ContentTooLargeError
    │   └── MalformedManifestError
    ├── NotKnownError              nobody's fault: the answer is not known yet
    │   ├── NotObservedError
    │   └── NotStoredError
    ├── HiddenError                the operator keeps it back
    ├── TimeLimitError             the request used up its time
    ├── ServerError                the server that a command asks
    │   └── ServerUnreachableError
    └── StoreError
        ├── StoreBusyError
        └── StoreOutdatedError

A code that the two specifications define (`MANIFEST_UNKNOWN`, …) is data in `RegistryError.codes`, not a
class: a class exists only where somebody branches on it. `code` is what a GraphQL client finds in
`extensions.code`, and `docs/errors.md` explains each.
"""

from collections.abc import Sequence
from typing import ClassVar


class GraphError(Exception):
    """Something this package refuses or could not do."""

    code: ClassVar[str] = "ERROR"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class InputError(GraphError, ValueError):
    """The caller must change something; no request to a registry was made."""

    code = "INVALID_INPUT"
    exit_code = 2


class InvalidReferenceError(InputError):
    """The text is no address of an artifact: `registry/repository:tag` or `registry/repository@digest`."""

    code = "INVALID_REFERENCE"


class InvalidNameError(InputError):
    """The name of a registry, namespace, repository or tag breaks a rule of the specification."""

    code = "INVALID_NAME"


class InvalidDigestError(InputError):
    """The text is not a digest such as `sha256:` followed by 64 lower-case hexadecimal digits."""

    code = "INVALID_DIGEST"


class InvalidCursorError(InputError):
    """The cursor was not made by this list, or by this order of it."""

    code = "INVALID_CURSOR"


class InvalidPageError(InputError):
    """`first` or `last` is out of range, or both were given."""

    code = "INVALID_PAGE"


class InvalidFilterError(InputError):
    """A filter contradicts itself or is longer than allowed."""

    code = "INVALID_FILTER"


class InvalidIdError(InputError):
    """The text is not an id that this API gave out."""

    code = "INVALID_ID"


class UnknownRegistryError(InputError):
    """The address names a registry that is not configured here."""

    code = "UNKNOWN_REGISTRY"


class UnknownMemberError(InputError):
    """A name in a set leads to nothing that is there."""

    code = "UNKNOWN_MEMBER"


class PlatformNotFoundError(InputError):
    """The index lists no image that runs on the platform."""

    code = "PLATFORM_NOT_FOUND"


class InvalidQueryError(InputError):
    """The query is not GraphQL, or not one that the schema can answer."""

    code = "INVALID_QUERY"


class QueryTooCostlyError(InputError):
    """The query would read more nodes, or be answered with more fields or text, than one request may."""

    code = "QUERY_TOO_COSTLY"

    def __init__(self, cost: int, limit: int, unit: str = "nodes") -> None:
        super().__init__(
            f"this query asks for {cost} {unit}; {limit} are allowed: ask for smaller pages, fewer levels or "
            "fewer fields"
        )
        self.cost = cost
        self.limit = limit


class QueryTooDeepError(InputError):
    """The query nests more levels than one request may."""

    code = "QUERY_TOO_DEEP"


class TooManyAliasesError(InputError):
    """The query uses more aliases than one request may."""

    code = "TOO_MANY_ALIASES"


class TooManyTokensError(InputError):
    """The query has more tokens than one request may."""

    code = "TOO_MANY_TOKENS"


class SettingsError(GraphError):
    """The settings cannot be used; every problem found is listed."""

    code = "INVALID_SETTINGS"
    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class RegistryError(GraphError):
    """A registry did not give what was asked of it."""

    code = "REGISTRY_ERROR"
    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        registry: str = "",
        request: str = "",
        http_status: int | None = None,
        codes: Sequence[str] = (),
        retry_after: float | None = None,
    ) -> None:
        """`request` is the method and the redacted URL; `retry_after` is in seconds."""
        super().__init__(message)
        self.registry = registry
        self.request = request
        self.http_status = http_status
        self.codes = tuple(codes)
        self.retry_after = retry_after


class RegistryUnreachableError(RegistryError):
    """The registry gave no answer, or none in time."""

    code = "REGISTRY_UNREACHABLE"
    retryable = True


class RegistryUntrustedError(RegistryUnreachableError):
    """The registry has a certificate that is not trusted here."""

    code = "REGISTRY_UNTRUSTED"
    retryable = False


class RegistryFailedError(RegistryError):
    """The registry answered with an error of its own (5xx)."""

    code = "REGISTRY_FAILED"
    retryable = True


class RegistryThrottledError(RegistryError):
    """The registry asked for fewer requests (429)."""

    code = "REGISTRY_THROTTLED"
    retryable = True


class RegistryDeniedError(RegistryError):
    """The registry wants other credentials for this, or none will do (401, 403)."""

    code = "REGISTRY_DENIED"


class RegistryUnknownError(RegistryError):
    """The registry does not know the repository, manifest or blob (404), or hides it."""

    code = "REGISTRY_UNKNOWN"


class RegistryUnsupportedError(RegistryError):
    """The registry lacks this capability."""

    code = "REGISTRY_UNSUPPORTED"


class RegistryProtocolError(RegistryError):
    """The registry answered, but not as the specification says."""

    code = "REGISTRY_PROTOCOL"


class DoubtfulListError(RegistryProtocolError):
    """The registry lists what is no name: what it leaves out need not be gone."""

    code = "REGISTRY_DOUBTFUL"


class ContentError(GraphError):
    """The bytes are not what their name says; they are never stored."""

    code = "CONTENT_ERROR"
    exit_code = 4


class DigestMismatchError(ContentError):
    """The bytes do not hash to the digest that names them."""

    code = "DIGEST_MISMATCH"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class ContentTooLargeError(ContentError):
    """The content is larger than the limit for its kind."""

    code = "CONTENT_TOO_LARGE"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} is larger than {limit} bytes")
        self.limit = limit


class MalformedManifestError(ContentError):
    """The document is not valid JSON of its kind, or could be read in two ways (CVE-2021-41190)."""

    code = "MALFORMED_MANIFEST"


class NotKnownError(GraphError):
    """The answer is not known (yet)."""

    code = "NOT_KNOWN"


class NotObservedError(NotKnownError):
    """No crawl has looked at this yet."""

    code = "NOT_OBSERVED"


class NotStoredError(NotKnownError):
    """Nothing is stored about this, and only the store was to be asked."""

    code = "NOT_STORED"


class HiddenError(GraphError):
    """The operator keeps this back, because it often holds secrets."""

    code = "HIDDEN"


class TimeLimitError(GraphError):
    """The request took longer than allowed and was stopped."""

    code = "TIME_LIMIT"


class ServerError(GraphError):
    """The server that was asked did not answer as a GraphQL server does."""

    code = "SERVER_ERROR"
    exit_code = 6


class ServerUnreachableError(ServerError):
    """The server that was asked gave no answer, or none in time."""

    code = "SERVER_UNREACHABLE"
    retryable = True


class StoreError(GraphError):
    """The store cannot be used."""

    code = "STORE_ERROR"
    exit_code = 5

    store: str | None = None
    """Which; not in the text, since clients see that, and where a store is kept is the operator's affair."""


class StoreBusyError(StoreError):
    """The store is locked by somebody else."""

    code = "STORE_BUSY"
    retryable = True


class StoreOutdatedError(StoreError):
    """The store was written by a newer version of this program."""

    code = "STORE_OUTDATED"
