"""What vendors add to the specified API: one file each, the quirk beside its evidence.

The rest of the package asks a dialect, never a vendor's name. `oci` is the plain API and works everywhere.
"""

from collections.abc import Mapping
from typing import Protocol

from graph.errors import SettingsError
from graph.oci.reference import RepositoryName
from graph.registry.capability import Capability, CapabilityState
from graph.registry.dialects.oci import OciDialect
from graph.registry.listing import Listing


class Dialect(Protocol):
    """How one kind of registry likes to be asked."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    @property
    def capabilities(self) -> Mapping[Capability, CapabilityState]:
        """What is known of every registry of this kind before it is asked."""

    def catalog(self) -> Listing:
        """The list of repositories."""

    def tags(self, repository: RepositoryName) -> Listing:
        """The list of a repository's tags."""


_DIALECTS: dict[str, type[Dialect]] = {"oci": OciDialect}


def choose_dialect(name: str) -> Dialect:
    """The dialect that the settings name; SettingsError if there is none."""
    if name not in _DIALECTS:
        raise SettingsError([f"dialect: {name!r} is not known; known: {', '.join(sorted(_DIALECTS))}"])
    return _DIALECTS[name]()
