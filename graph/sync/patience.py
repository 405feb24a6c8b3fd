"""Take a registry's refusals as values, until there are too many of them in a row.

Rules of this file: no request is made here. One manifest that is denied, gone, malformed, too large or not
what its digest says is an ordinary event of a crawl (`Failure`); a registry that does not answer at all is
not, and waiting for each of ten thousand tags to time out would help nobody.
"""

from collections.abc import Awaitable
from typing import TypeVar

from graph.errors import ContentError, GraphError, NotObservedError, RegistryError, RegistryThrottledError
from graph.store.changes import Failure

T = TypeVar("T")

# Requests of one repository that may fail in a row for no fault of their own (no answer, 5xx); each was tried
# several times by the client. The next such failure ends the look.
MAX_FAILURES_IN_A_ROW = 5

# Manifests fetched in one look at a repository. The largest repositories known have some 10,000 tags; what is
# beyond the bound is recorded as not observed, and the next crawl goes on there.
MAX_MANIFESTS = 200_000

# Characters of a message that are kept: it may hold a registry's own words.
MAX_MESSAGE_LENGTH = 500

OUT_OF_MANIFESTS = Failure(
    NotObservedError.code,
    f"one crawl fetches {MAX_MANIFESTS} manifests of a repository; this one is for the next",
)


def failure_of(error: GraphError) -> Failure:
    """Return the error as a value to keep."""
    return Failure(error.code, str(error)[:MAX_MESSAGE_LENGTH])


class Patience:
    """What one look at one repository puts up with."""

    def __init__(self, *, max_manifests: int = MAX_MANIFESTS) -> None:
        self.last_error: RegistryError | ContentError | None = None
        """The error that the last failure was made of."""
        self.requests = 0
        """How many were asked, lists of tags and manifests left out."""
        self._failures_in_a_row = 0
        self._manifests_left = max_manifests

    async def ask(self, request: Awaitable[T]) -> T | Failure:
        """Return the answer, or why there is none.

        Raises the registry's error when it wants fewer requests, or when too many in a row went unanswered.
        """
        self.requests += 1
        try:
            answer = await request
        except RegistryThrottledError:
            raise
        except (RegistryError, ContentError) as error:
            # A refusal is an answer too: the registry is there.
            self._failures_in_a_row = self._failures_in_a_row + 1 if error.retryable else 0
            if self._failures_in_a_row > MAX_FAILURES_IN_A_ROW:
                raise
            self.last_error = error
            return failure_of(error)
        self._failures_in_a_row = 0
        return answer

    def take_manifest(self) -> bool:
        """Count one manifest to be fetched; False when there have been enough."""
        self._manifests_left -= 1
        return self._manifests_left >= 0
