"""Find what is wrong with the settings of one registry and shows only in the files that they name, or in what
is installed: before anything is asked, and all of it."""

from collections.abc import Callable
from datetime import UTC, datetime

from graph.errors import SettingsError
from graph.registry.dialects import choose_dialect
from graph.registry.identity import open_identity
from graph.registry.origin import parse_origin
from graph.registry.tls import make_trust
from graph.settings import RegistrySettings


def find_problems(settings: RegistrySettings) -> list[str]:
    """Each mistake with the name of its setting; no request is made."""
    checks: list[Callable[[], object]] = [
        lambda: choose_dialect(settings),
        lambda: open_identity(settings, lambda: datetime.now(UTC)),
    ]
    if settings.layout is None:
        checks.append(lambda: make_trust(settings, parse_origin(settings.url)))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except SettingsError as error:
            problems += error.problems
    return problems
