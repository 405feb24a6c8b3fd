"""The plain API: distribution specification 1.1, and `_catalog`, which it reserves but does not specify."""

from collections.abc import Mapping
from typing import Any

from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.ledger import RequestKind
from graph.registry.listing import Listing
from graph.registry.wire import CATALOG_SCOPE, pull_scope, repository_path


class OciDialect:
    """Any registry that speaks `/v2/`."""

    name = "oci"
    # The specification has no call that lists manifests (distribution-spec #222) and none that tells times.
    capabilities: Mapping[Capability, CapabilityState] = {
        Capability.CATALOG: CapabilityState.UNKNOWN,
        Capability.REFERRERS: CapabilityState.UNKNOWN,
        Capability.UNTAGGED_LISTING: CapabilityState.UNSUPPORTED,
        Capability.PUSH_TIME: CapabilityState.UNSUPPORTED,
    }

    def catalog(self) -> Listing:
        """`GET /v2/_catalog`."""
        return Listing(RequestKind.CATALOG, "/v2/_catalog", CATALOG_SCOPE, _read_repositories)

    def tags(self, repository: RepositoryName) -> Listing:
        """`GET /v2/<name>/tags/list`: end-8a and 8b."""
        return Listing(
            RequestKind.TAGS, f"{repository_path(repository)}/tags/list", pull_scope(repository), _read_tags
        )


def _read_repositories(page: dict[str, Any]) -> Any:
    return page.get("repositories")


def _read_tags(page: dict[str, Any]) -> Any:
    return page.get("tags")
