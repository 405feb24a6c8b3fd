"""What a registry lets anybody do with a tag or a manifest."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Locks:
    """What may be done; None: the registry did not say."""

    can_delete: bool | None = None
    can_write: bool | None = None
    can_list: bool | None = None
    can_read: bool | None = None
