"""What a registry lets anybody do with a tag or an artifact. Rules of this file: declarations only."""

import strawberry


@strawberry.type(
    description="What the registry lets anybody do with a tag or an artifact, whatever they are allowed "
    "otherwise."
)
class Locks:
    """What may be done."""

    can_delete: bool | None = strawberry.field(
        description="Whether it may be deleted. Null: the registry does not say."
    )
    can_write: bool | None = strawberry.field(
        description="Whether it may be changed, such as moved. Null: the registry does not say."
    )
    can_list: bool | None = strawberry.field(
        description="Whether lists show it. Null: the registry does not say."
    )
    can_read: bool | None = strawberry.field(
        description="Whether it may be pulled. Null: the registry does not say."
    )
