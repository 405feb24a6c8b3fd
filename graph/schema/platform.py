"""What an image runs on."""

from typing import Any

import strawberry

from graph.schema.context import Context


def platform_of(row: Any, _: Context) -> Any:
    """The row itself, which has the attributes of a platform; None where it tells none of them."""
    return None if row.os is None and row.architecture is None else row


@strawberry.type(
    description="What an image runs on, in Go's words, such as `linux` on `arm64`, variant `v8`."
)
class Platform:
    """What an image runs on."""

    os: str | None = strawberry.field(description="The operating system. Null: not given.")
    architecture: str | None = strawberry.field(description="The architecture of the CPU. Null: not given.")
    variant: str | None = strawberry.field(
        description="Which variant of the CPU, such as `v8`. Null: not given."
    )
    os_version: str | None = strawberry.field(
        description="The version of the operating system; Windows images need the right one. Null: not given."
    )
