"""Every vendor's double, with the settings that its registry is asked with. Layouts on disk are no server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders import make_index, make_sbom
from fakes.azure import AzureRegistry
from fakes.distribution import DistributionRegistry
from fakes.docker_hub import DockerHub
from fakes.ecr import HOST, EcrRegistry, Signs
from fakes.gitea import GiteaRegistry
from fakes.github import TOKEN, GithubRegistry
from fakes.gitlab import TOKEN as GITLAB_TOKEN
from fakes.gitlab import GitlabRegistry
from fakes.google import GoogleRegistry
from fakes.harbor import HarborRegistry
from fakes.jfrog import JfrogRegistry
from fakes.quay import QuayRegistry
from fakes.sync_rig import image, push
from fakes.zot import ZotRegistry
from graph.registry.dialects.ecr import EcrDialect, EcrPublicDialect
from graph.sample import SampleRegistry

WEB, TOOL = "acme/web", "acme/cli"

_ACME = {"namespaces": ("acme",)}

# Which a registry has to be given that is not at the vendor's own host.
HUB_API, GITHUB_API = "https://hub.docker.com", "https://api.github.com"


@dataclass(frozen=True)
class Double:
    """A double and how it is asked; `dialect` where it is not the name that it stands under."""

    make: Callable[[], SampleRegistry]
    settings: Mapping[str, Any] = field(default_factory=dict)
    dialect: str | None = None


DOUBLES = {
    "azure": Double(AzureRegistry),
    "docker-hub": Double(DockerHub, {"api_url": HUB_API, **_ACME}),
    "ecr": Double(
        EcrRegistry,
        {"url": f"https://{HOST}", "speaks": lambda settings: EcrDialect(settings, Signs())},
    ),
    "ecr-public": Double(
        lambda: EcrRegistry(alias="acme"),
        {
            "url": "https://public.ecr.aws",
            "speaks": lambda settings: EcrPublicDialect(settings, Signs()),
            **_ACME,
        },
    ),
    "github": Double(
        GithubRegistry, {"api_url": GITHUB_API, "username": "reader", "password": TOKEN, **_ACME}
    ),
    "gitea": Double(GiteaRegistry, {"username": "reader", "password": "a token"}),
    "gitlab": Double(
        lambda: GitlabRegistry({WEB, TOOL}),
        {"api_url": "https://gitlab.example", "username": "reader", "password": GITLAB_TOKEN, **_ACME},
    ),
    "google": Double(GoogleRegistry, _ACME),
    "harbor": Double(HarborRegistry),
    "jfrog": Double(JfrogRegistry, _ACME),
    "oci": Double(SampleRegistry),
    "distribution 2": Double(lambda: DistributionRegistry(2), dialect="oci"),
    "distribution 3": Double(lambda: DistributionRegistry(3), dialect="oci"),
    "quay": Double(QuayRegistry),
    "zot": Double(ZotRegistry),
}


def fill(registry: SampleRegistry) -> None:
    """Two repositories: an index under two tags with an SBOM, an untagged image, a tagged one, and a tool."""
    index = make_index([image("amd"), image("arm", architecture="arm64")])
    push(registry, WEB, index, "v1", "latest")
    push(registry, WEB, image("untagged"))
    push(registry, WEB, make_sbom(index))
    push(registry, WEB, image("old"), "v0")
    push(registry, TOOL, image("tool"), "v1")
