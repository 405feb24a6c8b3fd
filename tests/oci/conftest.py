"""How properties are tried here: no deadline for one example, because a busy machine is not a broken rule."""

from hypothesis import settings

settings.register_profile("oci", deadline=None)
settings.load_profile("oci")
