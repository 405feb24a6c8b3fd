"""Images on disk as a registry: OCI image layouts, as a directory or a tar, and archives of `docker save`.

`LayoutTransport` answers the distribution API from the files, so that client, crawl and store are the same as
for a registry. It only reads, and only below the path it was given.
"""

from graph.registry.layouts.transport import LayoutTransport

__all__ = ["LayoutTransport"]
