"""The docs keep up with the code: every setting and every error code is explained, as the code has it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from graph import errors
from graph.settings import RegistrySettings, Settings

DOCS = Path(__file__).parent.parent / "docs"


def render_settings(model: type[BaseModel]) -> str:
    """The table of docs/settings.md for one group of settings."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        default = field.default
        shown = (
            "required"
            if default is PydanticUndefined
            else "none"
            if default is None or default == "" or default == () or default == frozenset()
            else f"`{default}`"
        )
        lines.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(lines)


@pytest.mark.parametrize("model", [Settings, RegistrySettings])
def test_settings_are_documented(model: type[BaseModel]) -> None:
    """docs/settings.md holds the table that the code gives, word for word."""
    assert render_settings(model) in (DOCS / "settings.md").read_text()


def all_errors(error: type[errors.GraphError] = errors.GraphError) -> Iterator[type[errors.GraphError]]:
    yield error
    for below in error.__subclasses__():
        yield from all_errors(below)


def test_errors_are_documented() -> None:
    """docs/errors.md explains each code with the sentence of its class."""
    text = (DOCS / "errors.md").read_text()

    missing = [
        error.code
        for error in all_errors()
        if f"| `{error.code}` | {(error.__doc__ or '').strip().splitlines()[0]} |" not in text
    ]

    assert [] == missing


def test_codes_without_a_class_are_documented() -> None:
    """A code that a module writes out, beside those of the classes, is in docs/errors.md too."""
    text = (DOCS / "errors.md").read_text()
    written = {
        code
        for file in (DOCS.parent / "graph").rglob("*.py")
        for line in (
            r'"code": "([A-Z_0-9]+)"',
            r'_refuse\(\s*(?:"[^"]*"|str\(error\)), "([A-Z_0-9]+)"',
        )
        for code in re.findall(line, file.read_text())
    }

    assert {"INVALID_REQUEST", "TOO_MANY_ERRORS", "UNAUTHENTICATED"} <= written
    assert [] == [code for code in sorted(written) if f"| `{code}` |" not in text]


def test_error_codes_are_one_to_one() -> None:
    """A code means one class: a client that branches on it meets no second meaning."""
    codes = [error.code for error in all_errors()]

    assert sorted(set(codes)) == sorted(codes)
