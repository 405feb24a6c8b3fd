"""Stores for tests of the schema: one of every kind of thing, and ragged."""

import json

from store_builders import NOW, StoreBuilder

CONFIG = {
    "created": "2024-01-01T00:00:00Z",
    "os": "linux",
    "architecture": "amd64",
    "config": {
        "Env": ["PATH=/bin", "TOKEN=secret"],
        "Labels": {"maintainer": "somebody"},
        "Cmd": ["/bin/sh"],
        "Entrypoint": [],
        "ExposedPorts": {"80/tcp": {}},
    },
    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'a' * 63}{n}" for n in (1, 2)]},
    "history": [
        {"created_by": "ADD base"},
        {"created_by": "ENV PATH=/bin", "empty_layer": True},
        {"created_by": "COPY app"},
    ],
}
OCI_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def ragged_store() -> StoreBuilder:
    """Repositories with no tag, one and many; indexes, referrers, denied tags, shared and own layers.

    Keys: registry 1 (registry.test) has repositories 1 to 5 (team/web, team/api, base, empty, deep/er/one),
    registry 2 (other.test) has repository 6 (team/web).
    """
    builder = StoreBuilder()
    registry, other = builder.registry("registry.test"), builder.registry("other.test")
    names = ["team/web", "team/api", "base", "empty", "deep/er/one"]
    web, api, base, _, deep = (
        builder.repository(registry, name, observed_at=NOW, completeness="BEST_EFFORT") for name in names
    )
    elsewhere = builder.repository(other, "team/web", observed_at=NOW, completeness="COMPLETE")
    shared = [builder.layer(registry, 1000), builder.layer(registry, 500)]
    empty_layer = builder.layer(registry, 32, is_empty=True)
    config = json.dumps(CONFIG).encode()
    bottom = builder.artifact(
        base,
        builder.manifest(
            registry,
            shared,
            config=config,
            data=json.dumps({"schemaVersion": 2}).encode(),
            artifact_type=OCI_CONFIG_TYPE,
            annotations='{"org.example": "yes"}',
        ),
        os="linux",
        architecture="amd64",
        size=1500,
    )
    builder.tag(base, "1.0", bottom)
    children = []
    for number, architecture in enumerate(("amd64", "arm64")):
        own = builder.layer(registry, 100 + number)
        manifest = builder.manifest(registry, [*shared, empty_layer, own], config=b"{}" + b" " * number)
        children.append(manifest)
        builder.artifact(web, manifest, architecture=architecture, os="linux", untagged="INDEX_CHILD")
    index = builder.manifest(registry, children=[*children, builder.blob(registry)])
    whole = builder.artifact(web, index, kind="INDEX")
    for name in ("latest", "v1", "v2"):
        builder.tag(web, name, whole)
    builder.tag(web, "denied", None, error_code="REGISTRY_DENIED", error_message="not allowed")
    signature = builder.image(web, [builder.layer(registry)], kind="SIGNATURE", untagged="REFERRER")
    builder.rows["manifest"][-1]["subject_id"] = index
    builder.referrer(index, signature)
    builder.tag(web, f"sha256-{'0' * 64}", signature, is_referrer_tag=True)
    builder.artifact(
        api,
        builder.blob(registry),
        has_manifest=False,
        kind="UNKNOWN",
        error_code="CONTENT_TOO_LARGE",
        error_message="too large",
        untagged="DANGLING",
    )
    for number in range(3):
        image = builder.image(api, [shared[0], builder.layer(registry, 10 * number)], size=1010)
        builder.tag(api, f"v1.{number}", image)
    builder.tag(deep, "only", builder.image(deep, [shared[1]]))
    builder.tag(elsewhere, "v1", builder.image(elsewhere, [builder.layer(other)]))
    return builder


def wide_store(repositories: int, tags: int, layers: int, *, hot: int = 0) -> StoreBuilder:
    """`repositories` with `tags` images of `layers` each, half of them common; `hot` more hold the first."""
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    common = [builder.layer(registry, 1000) for _ in range(layers // 2)]
    for number in range(repositories):
        repository = builder.repository(registry, f"a{number:05}", observed_at=NOW)
        for version in range(tags):
            own = [builder.layer(registry) for _ in range(layers - len(common))]
            builder.tag(repository, f"v{version}", builder.image(repository, [*common, *own]))
    _heat(builder, registry, common[0], hot)
    return builder


def _heat(builder: StoreBuilder, registry: int, layer: int, repositories: int) -> None:
    """Let many more repositories hold the layer; by hand, as the builder looks at each with each other."""
    builder.derive()
    manifest = builder.manifest(registry, [layer])
    for number in range(repositories):
        repository = builder.repository(registry, f"z{number:05}", observed_at=NOW)
        artifact = builder.artifact(repository, manifest)
        for blob in (manifest, layer):
            builder.rows["artifact_blob"].append({"artifact_id": artifact, "blob_id": blob})
            key = len(builder.rows["repository_blob"]) + 1
            holder = {"id": key, "repository_id": repository, "repository_name": f"z{number:05}"}
            holder |= {"blob_id": blob, "is_layer": blob == layer, "artifact_count": 1}
            builder.rows["repository_blob"].append(holder)
    for name in ("artifact_count", "repository_count"):
        builder.row("blob", layer)[name] += repositories
