"""What a registry lets anybody do with a tag or an artifact. Rules of this file: declarations only."""

import strawberry


@strawberry.type(
    description="What the registry lets anybody do with a tag or an artifact, whatever they are allowed "
    "otherwise. Null: it does not say."
)
class Locks:
    """What may be done."""

    can_delete: bool | None = strawberry.field(description="Whether it may be deleted.")
    can_write: bool | None = strawberry.field(description="Whether it may be changed, such as moved.")
    can_list: bool | None = strawberry.field(description="Whether lists show it.")
    can_read: bool | None = strawberry.field(description="Whether it may be pulled.")
