"""What figures stand on: how well the repositories involved, and their registries, are known.

Rules of this file: the one home of a basis. Each function runs one statement, whatever the number of keys,
and answers in their order. Bytes are exclusive only as far as we can see: one repository that cannot list its
untagged manifests, or one manifest that is not known, *anywhere in the registry* may use them too. Counts are
lower bounds where a repository *involved* was never crawled to its end, or a manifest in it is not known. A
tag of which the registry would not say what it names is a manifest that is not known.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
)

from graph.store.conditions import is_below, is_unknown
from graph.store.keys import key_parameter, key_set, key_value
from graph.store.rows import BasisRow, Completeness, RegistryStatus, Scope
from graph.store.tables import Instant, artifact, namespace, registry, repository, tag
from graph.store.visibility import Visibility

_other = repository.alias("other")
_unknown = artifact.alias("unknown")
_unresolved, _home = tag.alias("unresolved"), repository.alias("home")


def registry_basis(status: RegistryStatus, scope: Scope) -> BasisRow:
    """Return what figures over a whole registry stand on."""
    return BasisRow(
        scope,
        status.completeness,
        status.oldest_observed_at,
        status.completeness is not Completeness.COMPLETE or status.has_unknown_manifests or status.is_partial,
        status.is_partly_unseen or status.has_unknown_manifests,
    )


def load_repository_bases(
    db: Connection, visibility: Visibility, repository_keys: Sequence[int], scope: Scope
) -> list[BasisRow | None]:
    """Return what figures over each repository stand on; None where the key is unknown."""
    keys = key_set(db, repository_keys)
    source = keys.source.join(repository, repository.c.id == keys.value)
    found = _read(db, _facts(visibility, source, repository.c.id), scope)
    return [found.get(key) for key in repository_keys]


def load_namespace_bases(
    db: Connection, visibility: Visibility, namespace_keys: Sequence[int], scope: Scope
) -> list[BasisRow | None]:
    """Return what figures over each namespace stand on; None where nothing is (any more) below it."""
    keys = key_set(db, namespace_keys)
    below = is_below(repository, namespace)
    source = keys.source.join(namespace, namespace.c.id == keys.value).join(repository, below)
    statement = _facts(visibility, source, namespace.c.id, may_lack_repositories=True)
    found = _read(db, statement, scope)
    return [found.get(key) for key in namespace_keys]


def load_set_basis(
    db: Connection,
    visibility: Visibility,
    repository_keys: Collection[int],
    scope: Scope,
    is_open: bool = False,
) -> BasisRow:
    """Return what figures over a set of artifacts of these repositories stand on.

    `is_open`: the set is all repositories of some kind, as those that match a glob are, so that one that
    nobody has listed yet may be missing. A set without repositories has no look to tell of.
    """
    engine = db.dialect.name
    statement = _set_statement(engine, visibility, is_open)
    found = _read(db, statement, scope, keys=key_value(engine, list(repository_keys)))
    return found.get(0) or BasisRow(scope, Completeness.UNKNOWN, None, True, True)


@lru_cache(maxsize=8)  # building it takes longer than running it
def _set_statement(engine: str, visibility: Visibility, is_open: bool) -> Select[Any]:
    keys = key_parameter(engine)
    source = keys.source.join(repository, repository.c.id == keys.value)
    return _facts(visibility, source, None, may_lack_repositories=is_open)


def _facts(
    visibility: Visibility,
    source: FromClause,
    owner: ColumnElement[int] | None,
    *,
    may_lack_repositories: bool = False,
) -> Select[Any]:
    is_unlisted = registry.c.catalog_observed_at.is_(None)
    is_partial = registry.c.is_partial == true()
    lacks_manifest = exists().where(
        _unknown.c.registry_id == repository.c.registry_id,
        _unknown.c.repository_id == repository.c.id,
        is_unknown(_unknown),
    )
    is_unseen = or_(
        repository.c.crawled_at.is_(None), lacks_manifest, repository.c.id.in_(_with_unknown_tags(visibility))
    )
    if may_lack_repositories:
        is_unseen = or_(is_unseen, is_unlisted, is_partial)
    facts: list[ColumnElement[Any]] = [
        literal_column("0") if owner is None else owner,
        func.min(repository.c.completeness),
        func.max(repository.c.completeness),
        type_coerce(func.min(repository.c.observed_at), Instant()),
        func.max(case((or_(is_unlisted, is_partial, _may_hide_users(visibility)), 1), else_=0)),
        func.max(case((is_unseen, 1), else_=0)),
        func.max(case((is_unlisted, int(may_lack_repositories)), else_=0)),
        # The ends tell as much as the number does, and nothing is collected for them.
        func.min(registry.c.id) < func.max(registry.c.id),
    ]
    statement: Select[Any] = (
        select(*facts)
        .select_from(source.join(registry, registry.c.id == repository.c.registry_id))
        .where(visibility.restrict(repository.c.id))
    )
    return statement if owner is None else statement.group_by(owner)


def _may_hide_users(visibility: Visibility) -> ColumnElement[bool]:
    """Return the condition that an artifact that nobody can see may be in the registry."""
    incomplete = [
        exists()
        .where(
            _other.c.registry_id == registry.c.id,
            _other.c.absent_at.is_(None),
            condition,
            visibility.restrict(_other.c.id),
        )
        .correlate(registry)
        # Either side of the word is a look at one end of an index; "is not" would read all repositories.
        for condition in (
            _other.c.completeness < Completeness.COMPLETE.value,
            _other.c.completeness > Completeness.COMPLETE.value,
        )
    ]
    return or_(*incomplete, has_unknown_manifests(visibility))


def has_unknown_manifests(visibility: Visibility) -> ColumnElement[bool]:
    """Return the condition that a present artifact of a row of `registry` has a manifest nobody knows."""
    unseen = artifact.alias("unseen")
    condition = exists().where(
        unseen.c.registry_id == registry.c.id,
        is_unknown(unseen),
        visibility.restrict(unseen.c.repository_id),
    )
    home = (
        select(_home.c.registry_id)
        .where(_home.c.id == _unresolved.c.repository_id)
        .correlate(_unresolved)
        .scalar_subquery()
    )
    return or_(condition.correlate(registry), registry.c.id.in_(_with_unknown_tags(visibility, home)))


def _with_unknown_tags(
    visibility: Visibility, shown: ColumnElement[int] = _unresolved.c.repository_id
) -> Select[Any]:
    """Return the repositories with a tag of which the registry would not say what it names.

    By themselves, not beside each repository: they are few, and one end of an index by what tags name.
    """
    return select(shown).where(
        _unresolved.c.absent_at.is_(None),
        _unresolved.c.artifact_id.is_(None),
        visibility.restrict(_unresolved.c.repository_id),
    )


def _read(db: Connection, statement: Select[Any], scope: Scope, **parameters: Any) -> dict[int, BasisRow]:
    # Where nothing is grouped, there is a row even of no repository.
    return {
        owner: _basis(scope, least, *facts)
        for owner, least, *facts in db.execute(statement, parameters)
        if least is not None
    }


def _basis(
    scope: Scope,
    least: str,
    greatest: str,
    oldest: datetime | None,
    may_hide_users: int,
    is_unseen: int,
    is_unlisted: int,
    spans_registries: bool,
) -> BasisRow:
    completeness = weakest(least, greatest)
    if is_unlisted:
        completeness = Completeness.UNKNOWN
    return BasisRow(
        scope, completeness, oldest, bool(may_hide_users), bool(is_unseen), bool(spans_registries)
    )


def weakest(least: str | None, greatest: str | None) -> Completeness:
    """Return how complete all of them are, from the first and the last of their words by the alphabet."""
    if greatest == Completeness.UNKNOWN:
        return Completeness.UNKNOWN
    return Completeness.BEST_EFFORT if least == Completeness.BEST_EFFORT else Completeness.COMPLETE
