"""The tables of the store, and what each column means.

Rules of this file: tables and column types only, no statements. *Content* tables (blob, manifest,
manifest_layer, manifest_child, document) are `put` and never change once their bytes were verified, but for
the counters beside them. *Observation* tables (registry, repository, tag, artifact, tag_move) are `set` and
carry `observed_at`. *Derived* tables and columns (artifact_blob, repository_blob, referrer, namespace,
every `*_count` and `*_bytes`) follow from the other two, are written in the same transaction and can be
recounted (`recount.py`).

A digest names one row of `blob` per registry: manifests, configs and layers are all blobs, and sharing is
counted inside one registry (concept C2). Rows that only describe *present* things (artifact_blob,
repository_blob) are deleted when what they describe becomes absent; an observation never is, it gets
`absent_at`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, overload

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@overload
def microseconds_of(moment: datetime) -> int: ...
@overload
def microseconds_of(moment: None) -> None: ...
def microseconds_of(moment: datetime | None) -> int | None:
    """Return the moment as it is stored."""
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(microseconds: int | None) -> datetime | None:
    """Return the moment that is stored so."""
    return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)


class Instant(TypeDecorator[datetime]):
    """A moment, kept as whole microseconds since 1970 in UTC so that every engine sorts it alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return microseconds_of(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return moment_of(value)


# SQLite makes only INTEGER PRIMARY KEY an alias of the rowid; other engines get a 64-bit key.
Key = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _totals() -> list[Column[int]]:
    """The totals of a repository or a registry: scope ALL, then scope TAGGED (live)."""
    return [
        _count("artifact_count"),
        _count("live_artifact_count"),
        _count("layer_count"),  # distinct blobs that are layers
        _count("live_layer_count"),
        _count("logical_bytes"),  # sum of the artifacts' own content, as if nothing were shared
        _count("live_logical_bytes"),
        _count("stored_bytes"),  # each digest once, foreign layers left out
        _count("live_stored_bytes"),
    ]


registry = Table(
    "registry",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # host[:port], lower case
    Column("url", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("capabilities", Text, nullable=False, server_default="{}"),  # JSON {name: state}
    Column("first_seen_at", Instant, nullable=False),
    _flag("is_partial"),  # the settings leave repositories out
    Column("catalog_observed_at", Instant),  # the last time the catalog was read to its end
    Column("sync_state", Text, nullable=False, server_default="NEVER"),  # NEVER RUNNING IDLE FAILED
    Column("sync_started_at", Instant),
    Column("sync_finished_at", Instant),
    Column("sync_error_code", Text),
    Column("sync_error_message", Text),
    _count("repositories_done"),  # of the crawl that runs or ran last
    _count("repositories_total"),
    _count("repository_count"),  # present
    *_totals(),
)

repository = Table(
    "repository",
    metadata,
    Column("id", Key, primary_key=True),
    Column("registry_id", Key, ForeignKey("registry.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("namespace", Text),  # everything before the last "/"
    Column("completeness", Text, nullable=False, server_default="UNKNOWN"),  # COMPLETE BEST_EFFORT UNKNOWN
    Column("first_seen_at", Instant, nullable=False),
    Column("listed_at", Instant),  # the catalog last named it
    Column("observed_at", Instant),  # its tag list was last read to its end; null: never
    Column("crawled_at", Instant),  # the last crawl that finished it, manifests and all
    Column("changed_at", Instant),  # a tag or an artifact was last seen to change
    Column("absent_at", Instant),
    Column("error_code", Text),  # why the last look failed; null when it did not
    Column("error_message", Text),
    _count("tag_count"),  # ordinary tags present
    *_totals(),
    UniqueConstraint("registry_id", "name"),
)
_present = text("absent_at IS NULL")
_name: str
_columns: tuple[Column[Any], ...]
for _name, _columns in {
    "ix_repository_present_name": (repository.c.registry_id, repository.c.name),
    "ix_repository_present": (repository.c.registry_id,),  # SQLite ends it with the key: as first seen
    "ix_repository_present_changed": (repository.c.registry_id, repository.c.changed_at),
    "ix_repository_present_size": (repository.c.registry_id, repository.c.stored_bytes),
    # The two that say how well a registry is known, without reading all of its repositories.
    "ix_repository_present_observed": (repository.c.registry_id, repository.c.observed_at),
    "ix_repository_present_completeness": (repository.c.registry_id, repository.c.completeness),
}.items():
    Index(_name, *_columns, sqlite_where=_present, postgresql_where=_present)
_pending = text("absent_at IS NULL AND crawled_at IS NULL")
Index(
    "ix_repository_pending",
    repository.c.registry_id,
    # Null throughout. With the key in its place SQLite takes the index of all that are present instead.
    repository.c.crawled_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)

namespace = Table(
    "namespace",
    metadata,
    Column("id", Key, primary_key=True),
    Column("registry_id", Key, ForeignKey("registry.id"), nullable=False),
    Column("name", Text, nullable=False),  # "marketing", "marketing/campaign10-18"; no trailing "/"
    _count("repository_count"),  # present repositories below it, at any depth
    UniqueConstraint("registry_id", "name"),
)

blob = Table(
    "blob",
    metadata,
    Column("id", Key, primary_key=True),
    Column("registry_id", Key, ForeignKey("registry.id"), nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", BigInteger),  # bytes; null until somebody says
    _flag("is_size_verified"),  # we held the bytes, or else a descriptor says so
    _flag("has_size_conflict"),  # two descriptors disagree; the verified or first-seen size stands
    _flag("is_layer"),  # some manifest lists it among its layers
    _flag("is_empty"),  # the empty descriptor or a well-known empty layer
    _flag("is_foreign"),  # every listing of it gives `urls`: the registry need not keep it
    _count("artifact_count"),  # present artifacts whose own manifest is it or lists it (config or layer)
    _count("live_artifact_count"),
    _count("repository_count"),
    _count("live_repository_count"),
    _count("saved_bytes"),  # of a layer: size × (artifact_count − 1); 0 when empty or foreign
    UniqueConstraint("registry_id", "digest"),
)
# What each list of layers walks. A query uses one only if it spells the same conditions (`conditions.py`).
# SQLite ends every index with the rowid; were the key spelled out too, `(saved_bytes, id) < (?, ?)` would use
# the first of the two alone, and most layers have saved nothing.
_layer = text("is_layer AND artifact_count > 0")
for _name, _columns in {
    "ix_blob_layer": (blob.c.registry_id, blob.c.id),
    "ix_blob_layer_size": (blob.c.registry_id, blob.c.size),
    "ix_blob_saved": (blob.c.registry_id, blob.c.saved_bytes),
    "ix_blob_shared": (blob.c.registry_id, blob.c.repository_count),
}.items():
    Index(_name, *_columns, sqlite_where=_layer, postgresql_where=_layer)

# What live and dangling artifacts share: not exclusive to the live ones, and nowhere counted.
_partly_live = text("live_artifact_count > 0 AND live_artifact_count < artifact_count AND NOT is_foreign")
Index(
    "ix_blob_partly_live",
    blob.c.registry_id,
    blob.c.size,
    sqlite_where=_partly_live,
    postgresql_where=_partly_live,
)

document = Table(  # the exact bytes of manifests and configs, apart so that the others stay small
    "document",
    metadata,
    Column("blob_id", Key, ForeignKey("blob.id"), primary_key=True),
    Column("data", LargeBinary, nullable=False),  # zstd
)

media_type = Table(  # written out once: four million layer rows would repeat 50 bytes each
    "media_type",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

manifest = Table(
    "manifest",
    metadata,
    Column("blob_id", Key, ForeignKey("blob.id"), primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("schema_version", Integer),
    Column("form", Text, nullable=False),  # IMAGE INDEX OTHER: which GraphQL type
    Column("kind", Text, nullable=False),  # ArtifactKind
    Column("artifact_type", Text),
    Column("config_id", Key, ForeignKey("blob.id"), index=True),
    Column("subject_id", Key, ForeignKey("blob.id"), index=True),
    Column("os", Text),
    Column("architecture", Text),
    Column("variant", Text),
    Column("os_version", Text),
    Column("created_at", Instant),  # from the config, else from the annotation
    Column("annotations", Text),  # JSON {name: value}; null when there are none
    Column("content_bytes", BigInteger, nullable=False),  # itself + config + layers, each digest once
    Column("child_count", Integer, nullable=False, server_default=text("0")),
    Column("first_seen_at", Instant, nullable=False),
)

manifest_layer = Table(
    "manifest_layer",
    metadata,
    Column("manifest_id", Key, ForeignKey("blob.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("blob_id", Key, ForeignKey("blob.id"), nullable=False),
    Column("media_type_id", Key, ForeignKey("media_type.id"), nullable=False),
    Column("claimed_size", BigInteger),  # the descriptor's own; what is counted is blob.size
    Column("annotations", Text),
    sqlite_with_rowid=False,
)

manifest_child = Table(
    "manifest_child",
    metadata,
    Column("manifest_id", Key, ForeignKey("blob.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("child_id", Key, ForeignKey("blob.id"), nullable=False, index=True),
    Column("media_type_id", Key, ForeignKey("media_type.id"), nullable=False),
    Column("claimed_size", BigInteger),
    Column("os", Text),
    Column("architecture", Text),
    Column("variant", Text),
    Column("os_version", Text),
    Column("is_attestation", Boolean, nullable=False, server_default=false()),  # BuildKit's unknown/unknown
    Column("annotations", Text),
    sqlite_with_rowid=False,
)

artifact = Table(  # this repository + this digest (concept C6)
    "artifact",
    metadata,
    Column("id", Key, primary_key=True),
    Column("registry_id", Key, ForeignKey("registry.id"), nullable=False),
    Column("repository_id", Key, ForeignKey("repository.id"), nullable=False),
    Column("manifest_id", Key, ForeignKey("blob.id"), nullable=False, index=True),
    _flag("has_manifest"),  # its bytes are verified and stored
    Column("error_code", Text),  # why has_manifest is false: REGISTRY_DENIED, CONTENT_TOO_LARGE, …
    Column("error_message", Text),
    Column("media_type", Text),  # as the registry or a descriptor says, while has_manifest is false
    Column("discovery", Text, nullable=False),  # TAG CHILD REFERRER SUBJECT LISTED: how we know of it
    Column("first_seen_at", Instant, nullable=False),
    Column("observed_at", Instant, nullable=False),
    Column("referrers_observed_at", Instant),
    Column("pushed_at", Instant),  # the registry says so, and when it last changed, and what is locked
    Column("changed_at", Instant),
    Column("locks", Text),  # JSON [can_delete, can_write, can_list, can_read]
    Column("absent_at", Instant),
    # Derived; kind, platform and created_at are copied from the manifest so that lists filter on one table.
    Column("kind", Text, nullable=False, server_default="UNKNOWN"),
    Column("artifact_type", Text),
    Column("os", Text),
    Column("architecture", Text),
    Column("created_at", Instant),
    Column("size", BigInteger),  # content(down({a})); null while a child's manifest is not known
    Column("untagged", Text),  # null when tagged; INDEX_CHILD REFERRER DANGLING
    _flag("is_live"),
    _count("tag_count"),  # ordinary tags
    UniqueConstraint("repository_id", "manifest_id"),
)
for _name, _columns in {
    "ix_artifact_registry": (artifact.c.registry_id, artifact.c.id),
    "ix_artifact_registry_created": (artifact.c.registry_id, artifact.c.created_at),
    "ix_artifact_registry_pushed": (artifact.c.registry_id, artifact.c.pushed_at),
    "ix_artifact_registry_size": (artifact.c.registry_id, artifact.c.size),
    "ix_artifact_repository": (artifact.c.repository_id, artifact.c.id),
    "ix_artifact_repository_created": (artifact.c.repository_id, artifact.c.created_at),
    "ix_artifact_untagged": (artifact.c.registry_id, artifact.c.untagged, artifact.c.id),
    "ix_artifact_kind": (artifact.c.registry_id, artifact.c.kind, artifact.c.id),
    "ix_artifact_os": (artifact.c.registry_id, artifact.c.os, artifact.c.id),
    "ix_artifact_platform": (artifact.c.registry_id, artifact.c.architecture, artifact.c.os, artifact.c.id),
}.items():
    Index(_name, *_columns, sqlite_where=_present, postgresql_where=_present)
# Whether all manifests are known stands beside every figure; nearly always this index is empty.
_unknown = text("absent_at IS NULL AND NOT has_manifest")
Index(
    "ix_artifact_unknown",
    artifact.c.registry_id,
    artifact.c.repository_id,
    sqlite_where=_unknown,
    postgresql_where=_unknown,
)

tag = Table(
    "tag",
    metadata,
    Column("id", Key, primary_key=True),
    Column("repository_id", Key, ForeignKey("repository.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("version_key", Text, nullable=False),  # natural and semantic version order, compared by bytes
    Column("artifact_id", Key, ForeignKey("artifact.id")),  # null: the registry would not say which
    Column("error_code", Text),
    Column("error_message", Text),
    Column("referrer_subject_id", Key, ForeignKey("blob.id")),  # of a referrer tag: what it refers to
    _flag("is_referrer_tag"),
    _flag("is_fallback_tag"),  # the referrer tag of the specification: it names an index of referrers
    Column("first_seen_at", Instant, nullable=False),
    Column("observed_at", Instant, nullable=False),
    Column("changed_at", Instant),  # the registry says so, or it was last seen to move; null: never
    Column("pushed_at", Instant),  # the registry says so, and what is locked
    Column("locks", Text),
    Column("absent_at", Instant),
    UniqueConstraint("repository_id", "name"),
)
for _name, _columns in {
    "ix_tag_artifact": (tag.c.artifact_id, tag.c.is_referrer_tag, tag.c.name),
    "ix_tag_present": (tag.c.repository_id, tag.c.is_referrer_tag, tag.c.name),
    "ix_tag_changed": (tag.c.repository_id, tag.c.is_referrer_tag, tag.c.changed_at),
    "ix_tag_version": (tag.c.repository_id, tag.c.is_referrer_tag, tag.c.version_key),
}.items():
    Index(_name, *_columns, sqlite_where=_present, postgresql_where=_present)

tag_move = Table(  # every move ever observed, the first sight (from null) and the end (to null) included
    "tag_move",
    metadata,
    Column("id", Key, primary_key=True),
    Column("tag_id", Key, ForeignKey("tag.id"), nullable=False, index=True),
    Column("from_artifact_id", Key, ForeignKey("artifact.id")),
    Column("to_artifact_id", Key, ForeignKey("artifact.id")),
    Column("observed_at", Instant, nullable=False),
)

artifact_blob = Table(  # derived: content(a) of each present artifact, each digest once
    "artifact_blob",
    metadata,
    Column("artifact_id", Key, ForeignKey("artifact.id"), primary_key=True),
    Column("blob_id", Key, ForeignKey("blob.id"), primary_key=True),
    Index("ix_artifact_blob_blob", "blob_id", "artifact_id"),
    sqlite_with_rowid=False,
)

repository_blob = Table(  # derived: which repositories hold a blob, in the order they were first seen to
    "repository_blob",
    metadata,
    Column("id", Key, primary_key=True),
    Column("repository_id", Key, ForeignKey("repository.id"), nullable=False),
    Column("repository_name", Text, nullable=False),  # it never changes; here so that an index can sort by it
    Column("blob_id", Key, ForeignKey("blob.id"), nullable=False),
    _flag("is_layer"),  # the blob's: every build of an image brings two blobs that are none
    _count("artifact_count"),  # never 0: the row goes when the last artifact does
    _count("live_artifact_count"),
    UniqueConstraint("repository_id", "blob_id"),
    Index("ix_repository_blob_blob", "blob_id", "id"),
    # Who uses a layer, by key. With `is_layer` in it the index answers alone, a third of the time of looking
    # at each row of the table; it weighs a byte, as the condition alone does not count as a column.
    Index(
        "ix_repository_blob_user",
        "blob_id",
        "repository_id",
        "is_layer",
        sqlite_where=text("is_layer"),
        postgresql_where=text("is_layer"),
    ),
    Index(
        "ix_repository_blob_name",
        "blob_id",
        "repository_name",
        sqlite_where=text("is_layer"),
        postgresql_where=text("is_layer"),
    ),
    Index(
        "ix_repository_blob_layer",
        "repository_id",
        "blob_id",
        sqlite_where=text("is_layer"),
        postgresql_where=text("is_layer"),
    ),
)

referrer = Table(  # derived: what refers to what inside a repository
    "referrer",
    metadata,
    Column("repository_id", Key, ForeignKey("repository.id"), primary_key=True),
    Column("subject_id", Key, ForeignKey("blob.id"), primary_key=True),
    Column("artifact_id", Key, ForeignKey("artifact.id"), primary_key=True),
    Column("via", Text, nullable=False),  # SUBJECT, REFERRER_TAG, or FALLBACK_INDEX (kept alive, not shown)
    Index("ix_referrer_artifact", "artifact_id"),
    sqlite_with_rowid=False,
)
