"""A blob that becomes a layer after a repository held it as a config is among that repository's layers."""

from sqlalchemy import Connection, text

from builders import make_config, make_image, make_layer
from graph.oci.manifest import parse_manifest
from graph.store.changes import ArtifactChange, ConfiguredRegistry, Discovery, NewManifest, RepositoryChanges
from graph.store.content import put_manifests
from graph.store.observations import set_catalog_page, set_registries, set_repository
from graph.store.recount import recount
from store_builders import NOW


def test_late_layer(db: Connection) -> None:
    [registry] = set_registries(db, [ConfiguredRegistry("one.example", "http://one.example", "oci")], NOW)
    [repository] = set_catalog_page(db, registry, ["a"], NOW)
    config = make_config([make_layer("a")])
    for image in (make_image([make_layer("a")], config=config), make_image([config, make_layer("b")])):
        manifest = parse_manifest(image.data, image.media_type)
        put_manifests(db, registry, [NewManifest(manifest, image.data)], NOW)
        present = [ArtifactChange(manifest.digest, Discovery.TAG)]
        set_repository(db, repository, RepositoryChanges(NOW, present=present))
    pairs = "repository_blob AS r JOIN blob AS b ON b.id = r.blob_id"
    wrong = text(f"SELECT COUNT(*) FROM {pairs} WHERE r.is_layer <> b.is_layer")
    assert 0 == db.execute(wrong).scalar_one()
    assert [] == recount(db)
