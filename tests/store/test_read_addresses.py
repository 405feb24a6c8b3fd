"""What an address names is found by names alone, in one statement."""

from graph.store.addresses import Addressed, find_by_digest, find_by_tag
from graph.store.visibility import Visibility
from store_builders import StoreBuilder, filled_store, recorded_statements

ALL = Visibility.everything()


def builder_with_tags() -> tuple[StoreBuilder, dict[str, int]]:
    builder = StoreBuilder()
    registry = builder.registry("registry.test")
    other = builder.registry("other.test")
    web, empty = builder.repository(registry, "web"), builder.repository(registry, "empty")
    elsewhere = builder.repository(other, "web")
    manifest = builder.manifest(registry, [builder.layer(registry)])
    artifact = builder.artifact(web, manifest)
    builder.tag(web, "v1", artifact)
    builder.tag(web, "gone", artifact, absent_at=builder.rows["repository"][0]["first_seen_at"])
    builder.tag(web, "denied", None, error_code="REGISTRY_DENIED")
    return builder, {
        "registry": registry,
        "other": other,
        "web": web,
        "empty": empty,
        "elsewhere": elsewhere,
        "artifact": artifact,
    }


def keys_of(found: Addressed) -> tuple[int | None, str | None, int | None]:
    return (
        found.repository and found.repository.key,
        found.tag and found.tag.name,
        found.artifact and found.artifact.key,
    )


def test_by_tag() -> None:
    """Each address leads as far as it is known: to the repository, the tag, the artifact; one statement."""
    builder, key = builder_with_tags()
    r, o = key["registry"], key["other"]
    asked = [
        (r, "web", "v1"),
        (r, "web", "v2"),
        (r, "web", "gone"),
        (r, "web", "denied"),
        (o, "web", "v1"),
        (r, "empty", "v1"),
        (r, "nowhere", "v1"),
        (r, "web", "v1"),
    ]
    with filled_store(builder) as db, recorded_statements(db) as statements:
        found = [keys_of(one) for one in find_by_tag(db, ALL, asked)]

    assert [
        (key["web"], "v1", key["artifact"]),
        (key["web"], None, None),
        (key["web"], None, None),
        (key["web"], "denied", None),
        (key["elsewhere"], None, None),
        (key["empty"], None, None),
        (None, None, None),
        (key["web"], "v1", key["artifact"]),
    ] == found
    assert 1 == len(statements)


def test_by_digest() -> None:
    """A digest is found in the repository that holds it, and not in another that does not."""
    builder, key = builder_with_tags()
    r = key["registry"]
    digest = next(
        blob["digest"]
        for blob in builder.rows["blob"]
        if blob["id"] == builder.rows["artifact"][0]["manifest_id"]
    )
    asked = [(r, "web", digest), (r, "empty", digest), (key["other"], "web", digest), (r, "web", "sha256:0")]
    with filled_store(builder) as db, recorded_statements(db) as statements:
        found = [keys_of(one) for one in find_by_digest(db, ALL, asked)]

    assert [
        (key["web"], None, key["artifact"]),
        (key["empty"], None, None),
        (key["elsewhere"], None, None),
        (key["web"], None, None),
    ] == found
    assert 1 == len(statements)
