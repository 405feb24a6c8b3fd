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
from graph.settings import AUTOMATIC_DIALECT, RegistrySettings

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

    Raises SettingsError if there is none of that name.
    """
    if settings.layout is not None:
        if settings.dialect not in (AUTOMATIC_DIALECT, LayoutDialect.name):
            raise SettingsError([f"dialect: {settings.url} is no registry that speaks {settings.dialect!r}"])
        return LayoutDialect(settings)
    if settings.dialect == LayoutDialect.name:
        raise SettingsError([f"dialect: {settings.url} is no layout"])
    host = host_of(settings.url.partition("://")[2])
    for dialect in DIALECTS:
        if dialect.name == settings.dialect or (
            settings.dialect == AUTOMATIC_DIALECT and dialect.speaks_at(host)
        ):
            return dialect(settings)
    if settings.dialect != AUTOMATIC_DIALECT:
        known = ", ".join(sorted(dialect.name for dialect in DIALECTS))
        raise SettingsError([f"dialect: {settings.dialect!r} is not known; known: {known}"])
    return OciDialect(settings)
