"""Google's registries as far as they are published: one list that tells tags, manifests and what is below.

Built from google/go-containerregistry, pkg/v1/google/list.go: `manifest` by digest with numbers as texts,
`child`, no Link, and a parameter `n` that is not looked at. pkg.dev has no catalog.
"""

from typing import Any

from graph.sample import SampleRegistry
from graph.sample.answers import Answer, RefusedError, Request, json_answer

UPLOADED = 1_764_000_000_123
CREATED = 1_763_000_000_000


class GoogleRegistry(SampleRegistry):
    """`writes_numbers`: `timeUploadedMs` is a number, which nobody saw, and not a text."""

    def __init__(self, *, has_catalog: bool = False, writes_numbers: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.has_catalog = has_catalog
        self.writes_numbers = writes_numbers

    def _catalog(self, request: Request) -> Answer:
        if not self.has_catalog:
            raise RefusedError(404, "NAME_UNKNOWN", "there is no catalog here")
        return super()._catalog(request)

    def _tags(self, request: Request, name: str) -> Answer:
        below = [
            other.removeprefix(f"{name}/") for other in self.repositories if other.startswith(f"{name}/")
        ]
        if name not in self.repositories and not below:
            raise RefusedError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        stored = self.repositories.get(name)
        manifests = {} if stored is None else stored.manifests
        tags = {} if stored is None else stored.tags
        return json_answer(
            {
                "child": sorted({other.partition("/")[0] for other in below}),
                "manifest": {
                    digest: {
                        "imageSizeBytes": "123456",
                        "layerId": "",
                        "mediaType": manifest.media_type,
                        "tag": sorted(tag for tag, target in tags.items() if target == digest),
                        "timeCreatedMs": str(CREATED),
                        "timeUploadedMs": UPLOADED if self.writes_numbers else str(UPLOADED),
                    }
                    for digest, manifest in manifests.items()
                },
                "name": name,
                "tags": sorted(tags),
            }
        )
