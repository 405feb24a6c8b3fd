"""Image configs: read leniently, mapped to layers only when the counts agree."""

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import builders
from graph.errors import ContentTooLargeError, MalformedManifestError
from graph.oci.digest import Digest
from graph.oci.document import MAX_DOCUMENT_BYTES
from graph.oci.image import (
    MAX_ENTRIES,
    History,
    ImageConfig,
    item_of_layer,
    parse_image_config,
    steps_of,
    summarize_image_config,
)

EMPTY = ImageConfig(
    created=None,
    author=None,
    os=None,
    architecture=None,
    variant=None,
    os_version=None,
    env=(),
    entrypoint=None,
    cmd=None,
    labels={},
    user=None,
    working_dir=None,
    exposed_ports=(),
    volumes=(),
    stop_signal=None,
    diff_ids=(),
    history=(),
)


def read(document: Any) -> ImageConfig:
    """The config; its summary, read from the same bytes, never says anything else."""
    data = json.dumps(document).encode()
    config, summary = parse_image_config(data), summarize_image_config(data)
    assert asdict(summary) == {field.name: getattr(config, field.name) for field in fields(summary)}
    return config


def entry(created_by: str, created: datetime | None = None, is_empty_layer: bool = False) -> History:
    return History(created, created_by, None, None, is_empty_layer)


def test_config_of_the_specification() -> None:
    """image-spec, config.md, "Example"; nanoseconds are rounded to microseconds."""
    data = (Path(__file__).parent / "fixtures" / "config.json").read_bytes()
    expected = ImageConfig(
        created=datetime(2015, 10, 31, 22, 22, 56, 15925, tzinfo=UTC),
        author="Alyssa P. Hacker <alyspdev@example.com>",
        os="linux",
        architecture="amd64",
        variant=None,
        os_version=None,
        env=(
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "FOO=oci_is_a",
            "BAR=well_written_spec",
        ),
        entrypoint=("/bin/my-app-binary",),
        cmd=("--foreground", "--config", "/etc/my-app.d/default.cfg"),
        labels={
            "com.example.project.git.url": "https://example.com/project.git",
            "com.example.project.git.commit": "45a939b2999782a3f005621a8d0f29aa387e1d6b",
        },
        user="alice",
        working_dir="/home/alice",
        exposed_ports=("8080/tcp",),
        volumes=("/var/job-result-data", "/var/log/my-app-logs"),
        stop_signal=None,
        diff_ids=(
            Digest("sha256:c6f988f4874bb0add23a778f753c65efe992244e148a1d2ec2a8b664fb66bbd1"),
            Digest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
        ),
        history=(
            entry(
                "/bin/sh -c #(nop) ADD file:"
                "a3bc1e842b69636f9df5256c49c5374fb4eef1e281fe3f282c65fb853ee171c5 in /",
                datetime(2015, 10, 31, 22, 22, 54, 690852, tzinfo=UTC),
            ),
            entry(
                '/bin/sh -c #(nop) CMD ["sh"]',
                datetime(2015, 10, 31, 22, 22, 55, 613816, tzinfo=UTC),
                is_empty_layer=True,
            ),
            entry("/bin/sh -c apk add curl", datetime(2015, 10, 31, 22, 22, 56, 329850, tzinfo=UTC)),
        ),
    )
    config = parse_image_config(data)
    assert expected == config
    assert (expected.history[0], expected.history[2]) == steps_of(config)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"config": None, "rootfs": None, "history": None, "created": None, "os": None, "author": None},
        {"config": dict.fromkeys(("Env", "Cmd", "Labels", "Volumes", "User", "ExposedPorts"))},
        {"rootfs": {"type": "layers", "diff_ids": None}},
        {"config": {"Env": [], "Labels": {}, "User": "", "WorkingDir": "", "ExposedPorts": {}}},
        {"container_config": {"Env": ["A=b"]}, "docker_version": "20.10", "id": "x", "parent": "y"},
    ],
)
def test_optional_field_that_is_null_or_empty_is_not_given(document: Any) -> None:
    """config.md: any OPTIONAL field MAY be null; unknown fields are legal."""
    assert EMPTY == read(document)


BAD_FIELDS: list[tuple[str, Any]] = [
    ("created", "yesterday"),
    ("created", 5),
    ("created", "0001-01-01T00:00:00Z"),
    ("author", 5),
    ("os", ["linux"]),
    ("os", "x" * 1000),
    ("architecture", {}),
    ("variant", True),
    ("os.version", 10.0),
    ("config", "none"),
    ("config", []),
    ("config", {"Env": "A=b"}),
    ("config", {"Env": ["A=b", 1]}),
    ("config", {"Env": {"A": "b"}}),
    ("config", {"Env": ["A=b"] * (MAX_ENTRIES + 1)}),
    ("config", {"Cmd": "sh"}),
    ("config", {"Entrypoint": [None]}),
    ("config", {"Labels": ["a"]}),
    ("config", {"Labels": {"a": 1, "b": None}}),
    ("config", {"User": 0}),
    ("config", {"ExposedPorts": ["80/tcp"]}),
    ("config", {"Volumes": "/data"}),
    ("config", {"StopSignal": 9}),
    ("rootfs", "layers"),
    ("rootfs", {"diff_ids": "sha256:0"}),
    ("rootfs", {"diff_ids": ["sha256:0"]}),
    ("rootfs", {"diff_ids": [builders.EMPTY_LAYER.digest, None]}),
    ("history", {}),
    ("history", "none"),
    ("history", [1]),
    ("history", [{"created_by": "a"}, None]),
    ("history", [{}] * (MAX_ENTRIES + 1)),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=lambda item: str(item)[:60])
def test_bad_field_counts_as_not_given_and_costs_no_other(name: str, value: Any) -> None:
    """A config is shown, not obeyed: one bad field never hides the rest."""
    sound = {"StopSignal": "SIGTERM"}
    document: dict[str, Any] = {"config": sound, "architecture": "arm64"} | {name: value}
    if name == "config" and isinstance(value, dict):
        document["config"] = sound | value
    config = read(document)
    expected_architecture = None if name == "architecture" else "arm64"
    expected_signal = (
        None if name == "config" and (not isinstance(value, dict) or "StopSignal" in value) else "SIGTERM"
    )
    assert (expected_architecture, expected_signal) == (config.architecture, config.stop_signal)
    assert EMPTY == read({name: value})


def test_labels_that_are_no_text_are_left_out_alone() -> None:
    """One label of a number does not hide the others."""
    assert {"a": "b", "c": ""} == read({"config": {"Labels": {"a": "b", "x": 1, "c": ""}}}).labels


def test_empty_entrypoint_is_given() -> None:
    """An empty Entrypoint or Cmd resets that of a base image; null does not."""
    config = read({"config": {"Entrypoint": [], "Cmd": []}})
    assert ((), ()) == (config.entrypoint, config.cmd)


@pytest.mark.parametrize("data", [b"[]", b"null", b"1", b"", b"<html>", b'{"a":1,"a":2}', b'["\\ud800"]'])
def test_config_that_is_no_object_is_refused(data: bytes) -> None:
    """Only a JSON object is a config, and has a summary."""
    for parse in (parse_image_config, summarize_image_config):
        with pytest.raises(MalformedManifestError):
            parse(data)


def test_config_past_the_limit_is_too_large() -> None:
    """The reader has its own limit, beside that of the download."""
    with pytest.raises(ContentTooLargeError):
        parse_image_config(b" " * (MAX_DOCUMENT_BYTES + 1))


@pytest.mark.parametrize(
    ("empties", "layer_count", "mapped"),
    [
        ([False, True, False], 2, ["0", "2"]),
        ([False, False], 2, ["0", "1"]),
        ([True, True], 0, []),
        ([], 0, []),
        ([], 3, [None, None, None]),  # ko
        ([False], 2, [None, None]),  # buildpacks
        ([False, False, False], 1, [None]),  # squashed
        ([False, True], 2, [None, None]),
    ],
)
def test_history_is_mapped_only_when_the_counts_agree(
    empties: list[bool], layer_count: int, mapped: list[str | None]
) -> None:
    """C12: entries that made a layer pair with the layers in order, or none does."""
    history = [
        {"created_by": str(number), "empty_layer": is_empty} for number, is_empty in enumerate(empties)
    ]
    steps = steps_of(read({"history": history}))
    entries = [item_of_layer(steps, position, layer_count) for position in range(layer_count)]
    assert mapped == [None if entry is None else entry.created_by for entry in entries]


@pytest.mark.parametrize("value", [None, False, "true", 1, []])
def test_only_true_makes_an_empty_layer(value: Any) -> None:
    """`empty_layer` is a boolean; anything else is not true."""
    assert (False,) == tuple(
        item.is_empty_layer for item in read({"history": [{"empty_layer": value}]}).history
    )


@pytest.mark.parametrize(("count", "layer_count"), [(0, 2), (1, 2), (3, 2)])
def test_diff_ids_are_mapped_only_when_the_counts_agree(count: int, layer_count: int) -> None:
    """Artifacts list fewer or no diff ids than layers: none is given to a layer then."""
    config = read({"rootfs": {"type": "layers", "diff_ids": [builders.EMPTY_LAYER.digest] * count}})
    items = [item_of_layer(config.diff_ids, position, layer_count) for position in range(layer_count)]
    assert [None] * layer_count == items


field_names = st.sampled_from(
    ["created", "os", "config", "Env", "Cmd", "Labels", "rootfs", "diff_ids", "history", "empty_layer", "a"]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers().filter(lambda number: abs(number) < 2**63)
    | st.text("a0:", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field_names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(field_names, values, max_size=6), st.integers(0, 4))
def test_any_object_is_a_config(document: dict[str, Any], layer_count: int) -> None:
    """Nothing inside a JSON object is an error, and every layer has an answer."""
    config = read(document)
    for position in range(layer_count):
        item_of_layer(steps_of(config), position, layer_count)
        item_of_layer(config.diff_ids, position, layer_count)
