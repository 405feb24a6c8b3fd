"""The first tables.

What each column means is said in `graph/store/tables.py`; this file only writes the step out in full, so
that it stays what it was when the tables move on.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.BigInteger()


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)


def _totals() -> list[sa.Column[int]]:
    return [
        _count(scope + name)
        for name in ("artifact_count", "layer_count", "logical_bytes", "stored_bytes")
        for scope in ("", "live_")
    ]


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _foreign_key(name: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name))


def upgrade() -> None:
    """Create them, each after those it points to."""
    _create_media_type()
    _create_registry()
    _create_blob()
    _create_namespace()
    _create_repository()
    _create_artifact()
    _create_document()
    _create_manifest()
    _create_manifest_child()
    _create_manifest_layer()
    _create_repository_blob()
    _create_artifact_blob()
    _create_referrer()
    _create_tag()
    _create_tag_move()


def _create_media_type() -> None:
    op.create_table(
        "media_type",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_type")),
        sa.UniqueConstraint("name", name=op.f("uq_media_type_name")),
    )


def _create_registry() -> None:
    op.create_table(
        "registry",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), server_default="{}", nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        _flag("is_partial"),
        sa.Column("catalog_observed_at", INSTANT),
        sa.Column("sync_state", sa.Text(), server_default="NEVER", nullable=False),
        sa.Column("sync_started_at", INSTANT),
        sa.Column("sync_finished_at", INSTANT),
        sa.Column("sync_error_code", sa.Text()),
        sa.Column("sync_error_message", sa.Text()),
        _count("repositories_done"),
        _count("repositories_total"),
        _count("repository_count"),
        *_totals(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registry")),
        sa.UniqueConstraint("name", name=op.f("uq_registry_name")),
    )


def _create_blob() -> None:
    op.create_table(
        "blob",
        sa.Column("id", KEY, nullable=False),
        sa.Column("registry_id", KEY, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger()),
        _flag("is_size_verified"),
        _flag("has_size_conflict"),
        _flag("is_layer"),
        _flag("is_empty"),
        _flag("is_foreign"),
        _count("artifact_count"),
        _count("live_artifact_count"),
        _count("repository_count"),
        _count("live_repository_count"),
        _count("saved_bytes"),
        _foreign_key("fk_blob_registry_id", "registry_id", "registry.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blob")),
        sa.UniqueConstraint("registry_id", "digest", name=op.f("uq_blob_registry_id_digest")),
    )
    layer = _where("is_layer AND artifact_count > 0")
    op.create_index("ix_blob_layer", "blob", ["registry_id", "id"], **layer)
    op.create_index("ix_blob_layer_size", "blob", ["registry_id", "size"], **layer)
    op.create_index("ix_blob_saved", "blob", ["registry_id", "saved_bytes"], **layer)
    op.create_index("ix_blob_shared", "blob", ["registry_id", "repository_count"], **layer)
    op.create_index(
        "ix_blob_partly_live",
        "blob",
        ["registry_id", "size"],
        **_where("live_artifact_count > 0 AND live_artifact_count < artifact_count AND NOT is_foreign"),
    )


def _create_namespace() -> None:
    op.create_table(
        "namespace",
        sa.Column("id", KEY, nullable=False),
        sa.Column("registry_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _count("repository_count"),
        _foreign_key("fk_namespace_registry_id", "registry_id", "registry.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_namespace")),
        sa.UniqueConstraint("registry_id", "name", name=op.f("uq_namespace_registry_id_name")),
    )


def _create_repository() -> None:
    op.create_table(
        "repository",
        sa.Column("id", KEY, nullable=False),
        sa.Column("registry_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text()),
        sa.Column("completeness", sa.Text(), server_default="UNKNOWN", nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("listed_at", INSTANT),
        sa.Column("observed_at", INSTANT),
        sa.Column("crawled_at", INSTANT),
        sa.Column("changed_at", INSTANT),
        sa.Column("absent_at", INSTANT),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        _count("tag_count"),
        *_totals(),
        _foreign_key("fk_repository_registry_id", "registry_id", "registry.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository")),
        sa.UniqueConstraint("registry_id", "name", name=op.f("uq_repository_registry_id_name")),
    )
    for name, columns in {
        "ix_repository_present": ["registry_id"],
        "ix_repository_present_name": ["registry_id", "name"],
        "ix_repository_present_changed": ["registry_id", "changed_at"],
        "ix_repository_present_size": ["registry_id", "stored_bytes"],
        "ix_repository_present_observed": ["registry_id", "observed_at"],
        "ix_repository_present_completeness": ["registry_id", "completeness"],
    }.items():
        op.create_index(name, "repository", columns, **_where("absent_at IS NULL"))
    op.create_index(
        "ix_repository_pending",
        "repository",
        ["registry_id", "crawled_at"],
        **_where("absent_at IS NULL AND crawled_at IS NULL"),
    )


def _create_artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", KEY, nullable=False),
        sa.Column("registry_id", KEY, nullable=False),
        sa.Column("repository_id", KEY, nullable=False),
        sa.Column("manifest_id", KEY, nullable=False),
        _flag("has_manifest"),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("media_type", sa.Text()),
        sa.Column("discovery", sa.Text(), nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("referrers_observed_at", INSTANT),
        sa.Column("pushed_at", INSTANT),
        sa.Column("changed_at", INSTANT),
        sa.Column("locks", sa.Text()),
        sa.Column("absent_at", INSTANT),
        sa.Column("kind", sa.Text(), server_default="UNKNOWN", nullable=False),
        sa.Column("artifact_type", sa.Text()),
        sa.Column("os", sa.Text()),
        sa.Column("architecture", sa.Text()),
        sa.Column("created_at", INSTANT),
        sa.Column("size", sa.BigInteger()),
        sa.Column("untagged", sa.Text()),
        _flag("is_live"),
        _count("tag_count"),
        _foreign_key("fk_artifact_manifest_id", "manifest_id", "blob.id"),
        _foreign_key("fk_artifact_registry_id", "registry_id", "registry.id"),
        _foreign_key("fk_artifact_repository_id", "repository_id", "repository.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sa.UniqueConstraint(
            "repository_id", "manifest_id", name=op.f("uq_artifact_repository_id_manifest_id")
        ),
    )
    op.create_index(op.f("ix_artifact_manifest_id"), "artifact", ["manifest_id"])
    for name, columns in {
        "ix_artifact_registry": ["registry_id", "id"],
        "ix_artifact_registry_created": ["registry_id", "created_at"],
        "ix_artifact_registry_pushed": ["registry_id", "pushed_at"],
        "ix_artifact_registry_size": ["registry_id", "size"],
        "ix_artifact_repository": ["repository_id", "id"],
        "ix_artifact_repository_created": ["repository_id", "created_at"],
        "ix_artifact_untagged": ["registry_id", "untagged", "id"],
        "ix_artifact_kind": ["registry_id", "kind", "id"],
        "ix_artifact_os": ["registry_id", "os", "id"],
        "ix_artifact_platform": ["registry_id", "architecture", "os", "id"],
    }.items():
        op.create_index(name, "artifact", columns, **_where("absent_at IS NULL"))
    op.create_index(
        "ix_artifact_unknown",
        "artifact",
        ["registry_id", "repository_id"],
        **_where("absent_at IS NULL AND NOT has_manifest"),
    )


def _create_document() -> None:
    op.create_table(
        "document",
        sa.Column("blob_id", KEY, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _foreign_key("fk_document_blob_id", "blob_id", "blob.id"),
        sa.PrimaryKeyConstraint("blob_id", name=op.f("pk_document")),
    )


def _create_manifest() -> None:
    op.create_table(
        "manifest",
        sa.Column("blob_id", KEY, nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer()),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("artifact_type", sa.Text()),
        sa.Column("config_id", KEY),
        sa.Column("subject_id", KEY),
        sa.Column("os", sa.Text()),
        sa.Column("architecture", sa.Text()),
        sa.Column("variant", sa.Text()),
        sa.Column("os_version", sa.Text()),
        sa.Column("created_at", INSTANT),
        sa.Column("annotations", sa.Text()),
        sa.Column("content_bytes", sa.BigInteger(), nullable=False),
        sa.Column("child_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        _foreign_key("fk_manifest_blob_id", "blob_id", "blob.id"),
        _foreign_key("fk_manifest_config_id", "config_id", "blob.id"),
        _foreign_key("fk_manifest_subject_id", "subject_id", "blob.id"),
        sa.PrimaryKeyConstraint("blob_id", name=op.f("pk_manifest")),
    )
    op.create_index(op.f("ix_manifest_config_id"), "manifest", ["config_id"])
    op.create_index(op.f("ix_manifest_subject_id"), "manifest", ["subject_id"])


def _create_manifest_child() -> None:
    op.create_table(
        "manifest_child",
        sa.Column("manifest_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("child_id", KEY, nullable=False),
        sa.Column("media_type_id", KEY, nullable=False),
        sa.Column("claimed_size", sa.BigInteger()),
        sa.Column("os", sa.Text()),
        sa.Column("architecture", sa.Text()),
        sa.Column("variant", sa.Text()),
        sa.Column("os_version", sa.Text()),
        _flag("is_attestation"),
        sa.Column("annotations", sa.Text()),
        _foreign_key("fk_manifest_child_child_id", "child_id", "blob.id"),
        _foreign_key("fk_manifest_child_manifest_id", "manifest_id", "blob.id"),
        _foreign_key("fk_manifest_child_media_type_id", "media_type_id", "media_type.id"),
        sa.PrimaryKeyConstraint("manifest_id", "position", name=op.f("pk_manifest_child")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_manifest_child_child_id"), "manifest_child", ["child_id"])


def _create_manifest_layer() -> None:
    op.create_table(
        "manifest_layer",
        sa.Column("manifest_id", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("blob_id", KEY, nullable=False),
        sa.Column("media_type_id", KEY, nullable=False),
        sa.Column("claimed_size", sa.BigInteger()),
        sa.Column("annotations", sa.Text()),
        _foreign_key("fk_manifest_layer_blob_id", "blob_id", "blob.id"),
        _foreign_key("fk_manifest_layer_manifest_id", "manifest_id", "blob.id"),
        _foreign_key("fk_manifest_layer_media_type_id", "media_type_id", "media_type.id"),
        sa.PrimaryKeyConstraint("manifest_id", "position", name=op.f("pk_manifest_layer")),
        sqlite_with_rowid=False,
    )


def _create_repository_blob() -> None:
    op.create_table(
        "repository_blob",
        sa.Column("id", KEY, nullable=False),
        sa.Column("repository_id", KEY, nullable=False),
        sa.Column("repository_name", sa.Text(), nullable=False),
        sa.Column("blob_id", KEY, nullable=False),
        _flag("is_layer"),
        _count("artifact_count"),
        _count("live_artifact_count"),
        _foreign_key("fk_repository_blob_blob_id", "blob_id", "blob.id"),
        _foreign_key("fk_repository_blob_repository_id", "repository_id", "repository.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repository_blob")),
        sa.UniqueConstraint(
            "repository_id", "blob_id", name=op.f("uq_repository_blob_repository_id_blob_id")
        ),
    )
    op.create_index("ix_repository_blob_blob", "repository_blob", ["blob_id", "id"])
    op.create_index(
        "ix_repository_blob_user",
        "repository_blob",
        ["blob_id", "repository_id", "is_layer"],
        **_where("is_layer"),
    )
    op.create_index(
        "ix_repository_blob_name", "repository_blob", ["blob_id", "repository_name"], **_where("is_layer")
    )
    op.create_index(
        "ix_repository_blob_layer", "repository_blob", ["repository_id", "blob_id"], **_where("is_layer")
    )


def _create_artifact_blob() -> None:
    op.create_table(
        "artifact_blob",
        sa.Column("artifact_id", KEY, nullable=False),
        sa.Column("blob_id", KEY, nullable=False),
        _foreign_key("fk_artifact_blob_artifact_id", "artifact_id", "artifact.id"),
        _foreign_key("fk_artifact_blob_blob_id", "blob_id", "blob.id"),
        sa.PrimaryKeyConstraint("artifact_id", "blob_id", name=op.f("pk_artifact_blob")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_artifact_blob_blob", "artifact_blob", ["blob_id", "artifact_id"])


def _create_referrer() -> None:
    op.create_table(
        "referrer",
        sa.Column("repository_id", KEY, nullable=False),
        sa.Column("subject_id", KEY, nullable=False),
        sa.Column("artifact_id", KEY, nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        _foreign_key("fk_referrer_artifact_id", "artifact_id", "artifact.id"),
        _foreign_key("fk_referrer_repository_id", "repository_id", "repository.id"),
        _foreign_key("fk_referrer_subject_id", "subject_id", "blob.id"),
        sa.PrimaryKeyConstraint("repository_id", "subject_id", "artifact_id", name=op.f("pk_referrer")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_referrer_artifact", "referrer", ["artifact_id"])


def _create_tag() -> None:
    op.create_table(
        "tag",
        sa.Column("id", KEY, nullable=False),
        sa.Column("repository_id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version_key", sa.Text(), nullable=False),
        sa.Column("artifact_id", KEY),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("referrer_subject_id", KEY),
        _flag("is_referrer_tag"),
        _flag("is_fallback_tag"),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("observed_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT),
        sa.Column("pushed_at", INSTANT),
        sa.Column("locks", sa.Text()),
        sa.Column("absent_at", INSTANT),
        _foreign_key("fk_tag_artifact_id", "artifact_id", "artifact.id"),
        _foreign_key("fk_tag_referrer_subject_id", "referrer_subject_id", "blob.id"),
        _foreign_key("fk_tag_repository_id", "repository_id", "repository.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("repository_id", "name", name=op.f("uq_tag_repository_id_name")),
    )
    for name, columns in {
        "ix_tag_artifact": ["artifact_id", "is_referrer_tag", "name"],
        "ix_tag_present": ["repository_id", "is_referrer_tag", "name"],
        "ix_tag_changed": ["repository_id", "is_referrer_tag", "changed_at"],
        "ix_tag_version": ["repository_id", "is_referrer_tag", "version_key"],
    }.items():
        op.create_index(name, "tag", columns, **_where("absent_at IS NULL"))


def _create_tag_move() -> None:
    op.create_table(
        "tag_move",
        sa.Column("id", KEY, nullable=False),
        sa.Column("tag_id", KEY, nullable=False),
        sa.Column("from_artifact_id", KEY),
        sa.Column("to_artifact_id", KEY),
        sa.Column("observed_at", INSTANT, nullable=False),
        _foreign_key("fk_tag_move_from_artifact_id", "from_artifact_id", "artifact.id"),
        _foreign_key("fk_tag_move_tag_id", "tag_id", "tag.id"),
        _foreign_key("fk_tag_move_to_artifact_id", "to_artifact_id", "artifact.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_move")),
    )
    op.create_index(op.f("ix_tag_move_tag_id"), "tag_move", ["tag_id"])
