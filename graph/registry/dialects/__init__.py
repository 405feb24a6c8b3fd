"""What vendors add to the specified API: one file each, the quirk beside its evidence.

The rest of the package asks a dialect, never a vendor's name. `oci` is the plain API and works everywhere.
"""

from graph.errors import SettingsError
from graph.registry.dialects.azure import AzureDialect
from graph.registry.dialects.dialect import Dialect, Reader
from graph.registry.dialects.docker_hub import DockerHubDialect
from graph.registry.dialects.ecr import EcrDialect, EcrPublicDialect
from graph.registry.dialects.gitea import GiteaDialect
from graph.registry.dialects.github import GithubDialect
from graph.registry.dialects.gitlab import GitlabDialect
from graph.registry.dialects.google import GoogleDialect
from graph.registry.dialects.harbor import HarborDialect
from graph.registry.dialects.jfrog import JfrogDialect
from graph.registry.dialects.layout import LayoutDialect
from graph.registry.dialects.oci import OciDialect
from graph.registry.dialects.quay import QuayDialect
from graph.registry.dialects.zot import ZotDialect
from graph.registry.origin import host_of
from graph.settings import AUTOMATIC_DIALECT, IdentityProvider, RegistrySettings

__all__ = ["DIALECTS", "Dialect", "Reader", "choose_dialect"]

# In the order in which they are asked whether they speak at a host.
DIALECTS: tuple[type[OciDialect], ...] = (
    AzureDialect,
    DockerHubDialect,
    EcrDialect,
    EcrPublicDialect,
    GithubDialect,
    GoogleDialect,
    HarborDialect,
    QuayDialect,
    GitlabDialect,
    GiteaDialect,
    ZotDialect,
    JfrogDialect,
    LayoutDialect,
    OciDialect,
)


def choose_dialect(settings: RegistrySettings) -> Dialect:
    """The dialect that the settings name, else the one that is known to be spoken at the host, else `oci`.

    Raises SettingsError where the settings have an identity that is not for the registries of this dialect.
    """
    dialect = _choose(settings)
    if settings.identity is IdentityProvider.AZURE and dialect.name != AzureDialect.name:
        # Whoever gets a token of Entra ID may show it to a registry that takes it.
        raise SettingsError(
            ["identity: `azure` is for Azure's registries alone; if this is one, name `azure` as its dialect"]
        )
    return dialect


def _choose(settings: RegistrySettings) -> Dialect:
    if settings.layout is not None:
        return LayoutDialect(settings)
    host = host_of(settings.url.partition("://")[2])
    for dialect in DIALECTS:
        if dialect.name == settings.dialect or (
            settings.dialect == AUTOMATIC_DIALECT and dialect.speaks_at(host)
        ):
            return dialect(settings)
    return OciDialect(settings)
