"""Which repositories of a registry are read: what `include` and `exclude` choose.

Rules of this file: pure. A pattern is a name, or a glob as in filters: `*` stands for any characters, "/"
too, `?` for one, and nothing else is special. What is excluded is left out, whatever includes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from graph.oci.reference import RegistryName, RepositoryName, complete_name


@dataclass(frozen=True, slots=True)
class Selection:
    """The repositories that are read; of a registry without either setting all of them."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Nothing is left out."""
        return not self.include and not self.exclude

    @property
    def is_named(self) -> bool:
        """Every repository is named, so that nobody has to list them: `named` are all."""
        return bool(self.include) and not any(map(is_glob, self.include))

    @property
    def named(self) -> tuple[RepositoryName, ...]:
        """Those that are included by name: they are looked at whether the registry lists them or not."""
        return tuple(
            RepositoryName(pattern)
            for pattern in dict.fromkeys(self.include)
            if not is_glob(pattern) and self.admits(pattern)
        )

    def admits(self, name: str) -> bool:
        """Whether the repository is read."""
        return (not self.include or _matches(name, self.include)) and not _matches(name, self.exclude)


def select(registry: RegistryName, include: Iterable[str], exclude: Iterable[str]) -> Selection:
    """What the settings of a registry choose; their names are meant as a person types them there."""

    def complete(patterns: Iterable[str]) -> tuple[str, ...]:
        return tuple(each if is_glob(each) else complete_name(registry, each) for each in patterns)

    return Selection(complete(include), complete(exclude))


def is_glob(pattern: str) -> bool:
    """Whether the pattern stands for several names."""
    return "*" in pattern or "?" in pattern


def _matches(name: str, patterns: Iterable[str]) -> bool:
    # No repository's name has a bracket, and no setting's pattern either: nothing else is special to fnmatch.
    return any(fnmatchcase(name, pattern) for pattern in patterns)
