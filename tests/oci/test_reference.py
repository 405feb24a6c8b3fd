"""Names and addresses: the grammars of the distribution-spec, and "Reading an address" of the concepts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.errors import (
    InputError,
    InvalidDigestError,
    InvalidNameError,
    InvalidReferenceError,
    UnknownRegistryError,
)
from graph.oci.digest import Digest, parse_digest
from graph.oci.reference import (
    MAX_REFERENCE_LENGTH,
    Reference,
    RegistryName,
    RepositoryName,
    TagName,
    ancestors_of,
    format_reference,
    namespace_of,
    parse_name_prefix,
    parse_reference,
    parse_registry_name,
    parse_repository_name,
    parse_tag_name,
)

DIGEST = parse_digest("sha256:" + "0123456789abcdef" * 4)

# The grammars as the distribution-spec prints them, not as we wrote them again.
SPEC_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
SPEC_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)
registries = st.builds(
    lambda host, port: parse_registry_name(host if port is None else f"{host}:{port}"),
    hosts,
    st.none() | st.integers(1, 65535),
)
repositories = (
    st.from_regex(SPEC_NAME, fullmatch=True).filter(lambda name: len(name) <= 255).map(RepositoryName)
)
tags = st.from_regex(SPEC_TAG, fullmatch=True).map(TagName)
digests = st.binary(min_size=32, max_size=32).map(lambda data: Digest("sha256:" + data.hex()))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:5000", "localhost:5000"),
        ("MyRegistry.azurecr.io", "myregistry.azurecr.io"),
        ("registry-1.docker.io", "registry-1.docker.io"),
        ("127.0.0.1:8443", "127.0.0.1:8443"),
        ("[::1]:5000", "[::1]:5000"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("a.b:65535", "a.b:65535"),
    ],
)
def test_registry_name_is_a_host_in_lower_case(text: str, name: str) -> None:
    """C1: a registry's name is its login server, lower case."""
    assert name == parse_registry_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5000",
        "host:",
        "host:0",
        "host:65536",
        "host:999999",
        "host:1a",
        "-host",
        "host-",
        "a..b",
        ".a",
        "a.",
        "host/path",
        "https://host",
        "user@host",
        "user:secret@host",
        "ho st",
        "host\n",
        "[::1",
        "[::zz]",
        "[1::2::3]",
        "[]",
        "::1",
        "h\u00f6st",
        "\u212a8s",  # the Kelvin sign, whose lower case is a plain "k"
        "host:\u0661",
        "x" * 260,
    ],
)
def test_registry_name_with_anything_else_is_refused(text: str) -> None:
    """A registry name holds no path, no credentials, no scheme: it goes into a URL."""
    with pytest.raises(InvalidNameError):
        parse_registry_name(text)


def test_azure_login_server_has_no_port() -> None:
    """C18: an Azure login server is given without a port; others may have one."""
    with pytest.raises(InvalidNameError, match="without a port"):
        parse_registry_name("myregistry.azurecr.io:443")
    assert "azurecr.io.example:443" == parse_registry_name("azurecr.io.example:443")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "acr-helloworld",
        "marketing/campaign10-18/web",
        "a_b",
        "a__b",
        "a.b",
        "a----b",
        "0/1/2",
        "docker.io/library/x",
        "x" * 255,
    ],
)
def test_repository_name_of_the_grammar_is_read_as_it_stands(text: str) -> None:
    """C4: namespaces are part of the name, and nothing is normalised."""
    assert text == parse_repository_name(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("/a", "start or end with '/'"),
        ("a/", "start or end with '/'"),
        ("a//b", "'//'"),
        ("Library/x", "lower case"),
        ("a b", "' '"),
        ("a:b", "':'"),
        ("a@b", "'@'"),
        ("a%2fb", "'%'"),
        ("a?b", "'?'"),
        ("a\nb", r"'\\n'"),
        ("b\n", r"'\\n'"),
        ("\u00e9", "none of a-z"),
        ("..", "start and end with a letter or digit"),
        ("a/../b", "start and end with a letter or digit"),
        ("-a", "start and end with a letter or digit"),
        ("a_", "start and end with a letter or digit"),
        ("a/.b", "start and end with a letter or digit"),
        ("a..b", "joined by"),
        ("a___b", "joined by"),
        ("a._b", "joined by"),
        ("a-_b", "joined by"),
        ("x" * 256, "at most 255"),
    ],
)
def test_repository_name_outside_the_grammar_is_refused_with_the_rule(text: str, rule: str) -> None:
    """C5: the message says which rule the name breaks."""
    with pytest.raises(InvalidNameError, match=rule):
        parse_repository_name(text)


@given(st.text(alphabet="aZ09._-/:@ \n\u00e9", max_size=12))
def test_repository_names_are_those_of_the_specification(text: str) -> None:
    """Our grammar accepts what the distribution-spec's does, no more and no less."""
    expected = re.fullmatch(SPEC_NAME, text) is not None
    try:
        accepted = text == parse_repository_name(text)
    except InvalidNameError:
        accepted = False
    assert expected == accepted


@pytest.mark.parametrize("text", ["latest", "v1", "_", "1.2.3", "A-b_c.d", "x" * 128])
def test_tag_name_of_the_grammar_is_read_as_it_stands(text: str) -> None:
    """Tags keep their case."""
    assert text == parse_tag_name(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        (".a", "start with"),
        ("-a", "start with"),
        ("a/b", "only letters"),
        ("a b", "only letters"),
        ("a\n", "only letters"),
        ("\u00e9", "only letters"),
        ("a\u0661", "only letters"),
        ("x" * 129, "at most 128"),
    ],
)
def test_tag_name_outside_the_grammar_is_refused_with_the_rule(text: str, rule: str) -> None:
    """C5: the message says which rule the name breaks."""
    with pytest.raises(InvalidNameError, match=rule):
        parse_tag_name(text)


@given(st.text(alphabet="aZ09._-/:@ \n\u00e9", max_size=12))
def test_tag_names_are_those_of_the_specification(text: str) -> None:
    """Our grammar accepts what the distribution-spec's does, no more and no less."""
    expected = re.fullmatch(SPEC_TAG, text) is not None
    try:
        accepted = text == parse_tag_name(text)
    except InvalidNameError:
        accepted = False
    assert expected == accepted


@pytest.mark.parametrize(
    ("name", "namespace", "ancestors"),
    [
        ("web", None, ()),
        ("marketing/web", "marketing", ("marketing",)),
        (
            "marketing/campaign10-18/web",
            "marketing/campaign10-18",
            ("marketing", "marketing/campaign10-18"),
        ),
    ],
)
def test_namespaces_are_the_prefixes_of_a_name(
    name: str, namespace: str | None, ancestors: tuple[str, ...]
) -> None:
    """C4: the namespace is everything before the last slash, and every ancestor prefix is one too."""
    repository = parse_repository_name(name)
    assert namespace == namespace_of(repository)
    assert ancestors == ancestors_of(repository)


FIRST = parse_registry_name("first.example")
LOCAL = parse_registry_name("localhost:5000")
CONFIGURED = (FIRST, LOCAL, parse_registry_name("plain"), parse_registry_name("kind"))


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("web", FIRST, "web", "latest", None),
        ("web:v1", FIRST, "web", "v1", None),
        (f"web@{DIGEST}", FIRST, "web", None, DIGEST),
        (f"web:v1@{DIGEST}", FIRST, "web", "v1", DIGEST),
        ("first.example/web:v1", FIRST, "web", "v1", None),
        ("First.EXAMPLE/web", FIRST, "web", "latest", None),
        ("localhost:5000/a/b:v1", LOCAL, "a/b", "v1", None),
        (f"localhost:5000/a/b@{DIGEST}", LOCAL, "a/b", None, DIGEST),
        ("plain/web", "plain", "web", "latest", None),
        # Neither has a ":" nor is it localhost: a repository with a dot in its namespace.
        ("docker.io/library/nginx", FIRST, "docker.io/library/nginx", "latest", None),
        ("second.example/web:v2", FIRST, "second.example/web", "v2", None),
        ("plain", FIRST, "plain", "latest", None),
        ("localhost", FIRST, "localhost", "latest", None),
    ],
)
def test_address_is_read_by_the_rule(
    text: str, registry: str, repository: str, tag: str | None, digest: Digest | None
) -> None:
    """C10, C17: the first part is a registry if it is configured; no tag means latest; a digest decides."""
    expected = Reference(
        RegistryName(registry),
        RepositoryName(repository),
        None if tag is None else TagName(tag),
        digest,
    )
    assert expected == parse_reference(text, CONFIGURED)


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("nginx", "library/nginx"),
        ("nginx:1.27", "library/nginx"),
        ("docker.io/nginx", "library/nginx"),
        (f"docker.io/nginx@{DIGEST}", "library/nginx"),
        ("docker.io/acme/web", "acme/web"),
        ("first.example/nginx", "nginx"),
    ],
)
def test_official_images_need_no_namespace(text: str, repository: str) -> None:
    """At Docker Hub, and nowhere else, a name without a namespace is that of an official image."""
    configured = (parse_registry_name("docker.io"), FIRST)
    assert repository == parse_reference(text, configured).repository


@pytest.mark.parametrize(
    "text", ["localhost/web", "other:5000/web", "localhost:5001/web", "x.azurecr.io:443/web"]
)
def test_address_of_a_host_that_is_not_configured_is_refused(text: str) -> None:
    """What can only be a host is never taken for a namespace of another registry."""
    with pytest.raises(UnknownRegistryError):
        parse_reference(text, CONFIGURED)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidReferenceError),
        (":v1", InvalidReferenceError),
        (f"@{DIGEST}", InvalidReferenceError),
        ("web:", InvalidReferenceError),
        ("web@", InvalidReferenceError),
        ("first.example/", InvalidReferenceError),
        (f"web@{DIGEST}@{DIGEST}", InvalidReferenceError),
        ("https://first.example/web", InvalidReferenceError),
        ("x" * (MAX_REFERENCE_LENGTH + 1), InvalidReferenceError),
        ("web@sha256:abc", InvalidDigestError),
        ("web:v1:v2", InvalidNameError),
        ("Web", InvalidNameError),
        ("web:-", InvalidNameError),
        ("/web", InvalidNameError),
        ("first.example//web", InvalidNameError),
        ("\u212aind/web", InvalidNameError),  # not the registry "kind"
        ("web name:v1", InvalidNameError),
    ],
)
def test_text_that_is_no_address_is_refused(text: str, error: type[InputError]) -> None:
    """Each mistake is told as what it is, before any request."""
    with pytest.raises(error):
        parse_reference(text, CONFIGURED)


def test_address_without_configured_registries_names_none() -> None:
    """With nothing configured an address still has a repository."""
    assert Reference(None, RepositoryName("web"), TagName("v1"), None) == parse_reference("web:v1", ())


@given(registries, repositories, tags | digests)
def test_printed_address_reads_back(
    registry: RegistryName, repository: RepositoryName, tag_or_digest: TagName | Digest
) -> None:
    """C17: parse(format(x)) == x, by tag and by digest."""
    text = format_reference(registry, repository, tag_or_digest)
    digest = Digest(tag_or_digest) if ":" in tag_or_digest else None
    tag = None if digest else TagName(tag_or_digest)
    assert Reference(registry, repository, tag, digest) == parse_reference(text, (registry,))


@given(st.text(alphabet="aZ0.:/@-_[] \n", max_size=20) | st.text(max_size=20))
def test_any_text_is_an_address_or_an_input_error(text: str) -> None:
    """No text breaks the parser."""
    try:
        reference = parse_reference(text, CONFIGURED)
    except InputError:
        return
    assert reference.tag is not None or reference.digest is not None


def test_address_without_a_registry_prints_without_one() -> None:
    """An address that names no registry prints as the name within it."""
    assert "web:v1" == format_reference(None, RepositoryName("web"), TagName("v1"))


@pytest.mark.parametrize("prefix", ["", "a", "team/", "team/web-", "a.b_", "a__", "a--"])
def test_text_that_a_name_may_start_with(prefix: str) -> None:
    """A prefix may end anywhere in a name."""
    assert prefix == parse_name_prefix(prefix)


@pytest.mark.parametrize("prefix", ["/", "//", "a//", "A", "a b", "-a", "a/.", "a.-", "a___", "é"])
def test_text_that_no_name_starts_with(prefix: str) -> None:
    """One that no name can have is refused, with the rule."""
    with pytest.raises(InvalidNameError, match="no repository's name starts with .*: ."):
        parse_name_prefix(prefix)


@given(repositories, st.integers(0))
def test_what_a_name_starts_with_is_a_prefix(name: str, end: int) -> None:
    """Whatever a name starts with is taken."""
    prefix = name[: end % (len(name) + 1)]
    assert prefix == parse_name_prefix(prefix)
