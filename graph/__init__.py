"""One GraphQL endpoint over any OCI registry that shows which layers its repositories share."""

__version__ = "0.1.0"
