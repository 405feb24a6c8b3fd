"""What the sample registry holds in the demo: the repositories of Azure's own documentation.

`acr-helloworld`, the marketing and product-returns namespaces and `samples/myimage` are the names that Azure
Container Registry's article on registries, repositories and artifacts uses. Their images stand on three
generations of .NET, each a chain debian → runtime-deps → runtime → aspnet → application, with sizes like the
real ones, so that most of what a repository holds is also held by others. The bytes are the same on every
machine.
"""

from dataclasses import dataclass

from graph.sample.answers import dump_json
from graph.sample.holdings import sha256
from graph.sample.images import (
    AMD64,
    ARM64,
    Descriptor,
    Recipe,
    Step,
    describe,
    put_artifact,
    put_attestation,
    put_image,
    put_index,
)
from graph.sample.registry import SampleRegistry

# The login server that the documentation uses; nothing is ever asked of the host of that name.
SAMPLE_REGISTRY_NAME = "myregistry.azurecr.io"


def fill_sample(registry: SampleRegistry) -> None:
    """Put every sample repository into the registry; `rebuild_v2` then moves a tag of one of them."""
    dotnet_2_1 = dotnet_bases(
        Step("ADD rootfs-stretch-slim.tar.xz /", "2018-04-28T00:21:04Z", 22_496_048),
        version="2.1.0",
        at="2018-05-30T17:04:33Z",
        sizes=(17_695_013, 26_893_120, 35_113_574),
    )
    dotnet_6 = dotnet_6_bases()
    dotnet_8 = dotnet_bases(
        Step("ADD rootfs-bookworm-slim.tar.xz /", "2024-10-14T00:00:00Z", 28_230_436),
        version="8.0.10",
        at="2024-10-17T22:38:01Z",
        sizes=(18_725_374, 32_245_113, 10_882_901),
    )
    put_bases(registry, dotnet_2_1, dotnet_6, dotnet_8)
    put_helloworld(registry, dotnet_2_1, dotnet_6, dotnet_8)
    put_marketing(registry, dotnet_2_1, dotnet_6)
    put_product_returns(registry, dotnet_2_1, dotnet_6)
    put_myimage(registry, dotnet_8)
    put_chart(registry)


def rebuild_v2(registry: SampleRegistry) -> None:
    """Push another build under `acr-helloworld:v2`; the one that held the tag stays behind without (C8).

    Apart from `fill_sample`, because plain OCI lists no untagged manifests: what lost its tag before anyone
    looked is never seen. So look between the two.
    """
    v2 = application(dotnet_6_bases().aspnet, "HelloWorld", "2.0.0", "2022-05-17T16:41:55Z", 1_391_874)
    put_image(registry, "acr-helloworld", v2, "v2")


@dataclass(frozen=True, slots=True)
class Bases:
    """The images of one generation of .NET, each built from the one before."""

    runtime_deps: Recipe
    runtime: Recipe
    aspnet: Recipe


def dotnet_bases(debian: Step, version: str, at: str, sizes: tuple[int, int, int]) -> Bases:
    """The three images of a version; `sizes` are the bytes of what each adds."""
    deps, runtime, aspnet = sizes
    packages = "ca-certificates libc6 libgcc-s1 libicu-dev libssl-dev libstdc++6 tzdata zlib1g"
    runtime_deps = Recipe(cmd=("bash",)).then(
        debian,
        Step('CMD ["bash"]', debian.at),
        Step("ENV ASPNETCORE_HTTP_PORTS=8080 DOTNET_RUNNING_IN_CONTAINER=true", at),
        Step(
            f"RUN apt-get update && apt-get install -y --no-install-recommends {packages}"
            " && rm -rf /var/lib/apt/lists/*",
            at,
            deps,
            content=version,
        ),
        env=("ASPNETCORE_HTTP_PORTS=8080", "DOTNET_RUNNING_IN_CONTAINER=true"),
    )
    with_runtime = runtime_deps.then(
        Step(f"ENV DOTNET_VERSION={version}", at),
        Step("COPY /dotnet /usr/share/dotnet", at, runtime, content=version),
        Step("RUN ln -s /usr/share/dotnet/dotnet /usr/bin/dotnet", at, 153, content=version),
        env=(f"DOTNET_VERSION={version}",),
    )
    with_aspnet = with_runtime.then(
        Step(f"ENV ASPNET_VERSION={version}", at),
        Step("COPY /shared/Microsoft.AspNetCore.App /usr/share/dotnet/shared/", at, aspnet, content=version),
        env=(f"ASPNET_VERSION={version}",),
    )
    return Bases(runtime_deps, with_runtime, with_aspnet)


def dotnet_6_bases() -> Bases:
    """The middle generation, on which `rebuild_v2` builds once more."""
    return dotnet_bases(
        Step("ADD rootfs-bullseye-slim.tar.xz /", "2022-04-20T04:43:43Z", 31_378_747),
        version="6.0.4",
        at="2022-04-20T13:29:20Z",
        sizes=(15_170_203, 31_640_870, 9_463_221),
    )


def application(base: Recipe, program: str, version: str, at: str, size: int) -> Recipe:
    """A program on its base, as a multi-stage Dockerfile of .NET ends."""
    build = f"{program} {version} {at}"
    labels = {
        "org.opencontainers.image.title": program,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": at,
        "org.opencontainers.image.revision": sha256(build.encode())[7:47],
    }
    return base.then(
        *(Step(f"LABEL {name}={value}", at) for name, value in labels.items()),
        Step("WORKDIR /app", at, 92, content=build),
        Step("COPY /app/out .", at, size, content=build),
        Step("EXPOSE map[8080/tcp:{}]", at),
        Step(f'ENTRYPOINT ["dotnet" "{program}.dll"]', at),
        entrypoint=("dotnet", f"{program}.dll"),
        cmd=None,
        working_dir="/app",
        exposed_ports=("8080/tcp",),
        labels=labels,
    )


def put_bases(registry: SampleRegistry, dotnet_2_1: Bases, dotnet_6: Bases, dotnet_8: Bases) -> None:
    """The base images, kept in the registry as many teams keep them."""
    put_image(registry, "dotnet/runtime-deps", dotnet_8.runtime_deps, "8.0")
    put_image(registry, "dotnet/runtime", dotnet_8.runtime, "8.0")
    put_image(registry, "dotnet/aspnet", dotnet_2_1.aspnet, "2.1", is_docker=True)
    put_image(registry, "dotnet/aspnet", dotnet_6.aspnet, "6.0", is_docker=True)
    put_image(registry, "dotnet/aspnet", dotnet_8.aspnet, "8.0")


def put_helloworld(registry: SampleRegistry, dotnet_2_1: Bases, dotnet_6: Bases, dotnet_8: Bases) -> None:
    """Three versions, and what is known of the last: a signature and its parts."""
    name = "acr-helloworld"
    v1 = application(dotnet_2_1.aspnet, "HelloWorld", "1.0.0", "2018-07-10T15:12:44Z", 1_206_336)
    put_image(registry, name, v1, "v1", is_docker=True)
    v2 = application(dotnet_6.aspnet, "HelloWorld", "2.0.0", "2022-05-03T09:30:11Z", 1_391_221)
    put_image(registry, name, v2, "v2")
    v3 = application(dotnet_8.aspnet, "HelloWorld", "3.0.0", "2024-10-21T08:05:27Z", 1_448_930)
    image = put_image(registry, name, v3, "v3", "latest")
    put_signature(registry, name, image, "2024-10-21T08:06:02Z")
    put_sbom(registry, name, image, "2024-10-21T08:06:09Z")


def put_signature(registry: SampleRegistry, repository: str, subject: Descriptor, at: str) -> None:
    """A Notation signature, as a referrer. Nothing was signed, so its envelope is known by its size alone."""
    digest = sha256(f"signature of {subject['digest']}".encode())
    envelope: Descriptor = {"mediaType": "application/jose+json", "digest": digest, "size": 2_108}
    thumbprint = sha256(b"certificate of the sample")[7:]
    put_artifact(
        registry,
        repository,
        [envelope],
        # Notation names its type in the config, the older of the two ways.
        config_type="application/vnd.cncf.notary.signature",
        subject=subject,
        annotations={
            "io.cncf.notary.x509chain.thumbprint#S256": f'["{thumbprint}"]',
            "org.opencontainers.image.created": at,
        },
    )


def put_sbom(registry: SampleRegistry, repository: str, subject: Descriptor, at: str) -> None:
    """An SPDX document of the packages in the image, as a referrer."""
    names = ("aspnetcore-runtime", "ca-certificates", "libc6", "libicu72", "libssl3", "tzdata", "zlib1g")
    document = dump_json(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{repository}@{subject['digest']}",
            "documentNamespace": f"https://spdx.example/{subject['digest'][7:]}",
            "creationInfo": {"created": at, "creators": ["Tool: sample"]},
            "packages": [
                {"SPDXID": f"SPDXRef-{name}", "name": name, "downloadLocation": "NOASSERTION"}
                for name in names
            ],
        }
    )
    registry.put_blob(repository, document)
    put_artifact(
        registry,
        repository,
        [describe("application/spdx+json", document)],
        artifact_type="application/spdx+json",
        subject=subject,
        annotations={"org.opencontainers.image.created": at},
    )


def put_marketing(registry: SampleRegistry, dotnet_2_1: Bases, dotnet_6: Bases) -> None:
    """A campaign of three services that stand on one base, one of which has been brought to the next."""
    web, api, sender = (f"marketing/campaign10-18/{name}" for name in ("web", "api", "email-sender"))
    old, new = dotnet_2_1, dotnet_6
    web_v1 = application(old.aspnet, "Campaign.Web", "1.0", "2018-09-03T10:22:09Z", 14_720_118)
    web_v2 = application(old.aspnet, "Campaign.Web", "2.0", "2018-10-01T08:14:51Z", 15_033_742)
    put_image(registry, web, web_v1, "v1", is_docker=True)
    put_image(registry, web, web_v2, "v2", "latest", is_docker=True)
    api_v1 = application(old.aspnet, "Campaign.Api", "1.0", "2018-09-03T10:25:30Z", 5_120_887)
    api_v2 = application(old.aspnet, "Campaign.Api", "2.0", "2018-10-01T08:17:22Z", 5_307_415)
    api_v3 = application(new.aspnet, "Campaign.Api", "3.0", "2022-05-04T12:40:07Z", 6_011_532)
    put_image(registry, api, api_v1, "v1", is_docker=True)
    put_image(registry, api, api_v2, "v2", is_docker=True)
    put_image(registry, api, api_v3, "v3", "latest")
    # A console program: it needs the runtime, not ASP.NET.
    sender_v1 = application(old.runtime, "Campaign.Sender", "1.0", "2018-09-05T14:02:18Z", 2_338_106)
    sender_v2 = application(old.runtime, "Campaign.Sender", "2.0", "2018-10-08T11:47:40Z", 2_402_655)
    put_image(registry, sender, sender_v1, "v1", is_docker=True)
    put_image(registry, sender, sender_v2, "v2", is_docker=True)


def put_product_returns(registry: SampleRegistry, dotnet_2_1: Bases, dotnet_6: Bases) -> None:
    """Two services whose tags are dates."""
    submission, integrator = "product-returns/web-submission", "product-returns/legacy-integrator"
    june = application(dotnet_2_1.aspnet, "Returns.Web", "2018.6.4", "2018-06-04T17:55:01Z", 9_866_203)
    may = application(dotnet_6.aspnet, "Returns.Web", "2022.5.10", "2022-05-10T13:20:36Z", 11_204_954)
    put_image(registry, submission, june, "20180604", is_docker=True)
    put_image(registry, submission, may, "20220510", "latest")
    july = application(dotnet_2_1.runtime, "Returns.Legacy", "2018.7.15", "2018-07-15T06:31:48Z", 41_733_290)
    put_image(registry, integrator, july, "20180715", is_docker=True)


def put_myimage(registry: SampleRegistry, dotnet_8: Bases) -> None:
    """One image for two platforms, with the provenance that BuildKit adds for each."""
    name = "samples/myimage"
    recipe = application(dotnet_8.aspnet, "MyImage", "1.0.0", "2024-11-05T19:28:13Z", 3_871_640)
    children = []
    attestations = []
    for platform, size in ((AMD64, 18_204), (ARM64, 18_197)):
        image = put_image(registry, name, recipe, platform=platform)
        children.append({**image, "platform": platform.document()})
        attestations.append(put_attestation(registry, name, image, size))
    put_index(registry, name, children + attestations, "1.0.0", "latest")


def put_chart(registry: SampleRegistry) -> None:
    """Two versions of a Helm chart."""
    for version, at, size in (
        ("0.1.0", "2022-05-04T13:02:27Z", 3_914),
        ("0.2.0", "2022-06-01T09:11:42Z", 4_102),
    ):
        chart: Descriptor = {
            "mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "digest": sha256(f"chart campaign {version}".encode()),
            "size": size,
        }
        fields = {
            "name": "campaign",
            "version": version,
            "description": "The services of the autumn campaign",
            "apiVersion": "v2",
            "appVersion": "3.0",
            "type": "application",
        }
        put_artifact(
            registry,
            "charts/campaign",
            [chart],
            version,
            config=dump_json(fields),
            config_type="application/vnd.cncf.helm.config.v1+json",
            annotations={
                "org.opencontainers.image.title": "campaign",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.created": at,
            },
        )
