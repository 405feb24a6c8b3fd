"""Link and WWW-Authenticate, as the RFCs write them and as registries do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.registry.headers import MAX_ELEMENTS, Challenge, next_link, parse_challenges, parse_links


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('</v2/_catalog?last=b&n=2>; rel="next"', "/v2/_catalog?last=b&n=2"),
        ("</v2/_catalog?last=b&n=2>; rel=next", "/v2/_catalog?last=b&n=2"),
        ('</x?n=1>;rel="next"', "/x?n=1"),
        ('</x?n=1>  ;  Rel = "NEXT"', "/x?n=1"),
        ('</x?n=1>; title="a; rel=\\"prev\\""; rel="last next"', "/x?n=1"),
        # What httpx.Response.links cuts in two: ";" and "," inside the URL.
        ('</v2/x?last=a;b&n=2>; rel="next"', "/v2/x?last=a;b&n=2"),
        ('</v2/x?last=a,b>; rel="next"', "/v2/x?last=a,b"),
        # Harbor sends prev and next together.
        ('</p?n=1>; rel="prev" , </q?n=2>; rel="next"', "/q?n=2"),
        # ACR's empty `orderby=` and an escaped slash stay as they are.
        (
            '</acr/v1/_catalog?last=a%2Fb&n=1&orderby=>; rel="next"',
            "/acr/v1/_catalog?last=a%2Fb&n=1&orderby=",
        ),
        ('</x?n=1>; rel="prev"', None),
        # RFC 8288, 3.3: only the first rel counts.
        ('</x?n=1>; rel="prev"; rel="next"', None),
        # RFC 8288, 3.2: not a link of this page.
        ('</x?n=1>; rel="next"; anchor="/other"', None),
        ("</x?n=1>", None),
        ("</x?n=1; rel=next", None),
        ('/x?n=1; rel="next"', None),
        ("", None),
        (",,,", None),
    ],
)
def test_next_link(value: str, expected: str | None) -> None:
    """The next page is the reference of the first link whose relation is next, untouched."""
    assert expected == next_link([value])


def test_links_of_several_headers() -> None:
    """Several Link headers are read as one list."""
    assert "/b" == next_link(['</a>; rel="prev"', '</b>; rel="next"'])


def test_links_are_bounded() -> None:
    """No more links are read than there can sensibly be."""
    assert MAX_ELEMENTS == len(parse_links([", ".join(f'</{n}>; rel="x"' for n in range(1000))]))


BEARER = Challenge("bearer", {"realm": "https://auth.example/token", "service": "registry.example"})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['Bearer realm="https://auth.example/token",service="registry.example"'], [BEARER]),
        (['bearer Realm="https://auth.example/token" , SERVICE="registry.example"'], [BEARER]),
        (["Bearer realm=https://auth.example/token,service=registry.example"], [BEARER]),
        (
            ['Bearer realm="r",service="s",scope="repository:a/b:pull,push"'],
            [Challenge("bearer", {"realm": "r", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        # Codeberg: two challenges in one header, split by nothing but a comma.
        (
            ['Bearer realm="https://codeberg.org/v2/token",service="c",scope="*",Basic realm="x"'],
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://codeberg.org/v2/token",
                        "service": "c",
                        "scope": "*",
                    },
                ),
                Challenge("basic", {"realm": "x"}),
            ],
        ),
        # Gitea: two headers, the second a bare scheme.
        (
            ['Bearer realm="https://git.example/v2/token"', "Basic"],
            [Challenge("bearer", {"realm": "https://git.example/v2/token"}), Challenge("basic", {})],
        ),
        (
            ['Basic, Bearer realm="r"'],
            [Challenge("basic", {}), Challenge("bearer", {"realm": "r"})],
        ),
        # ECR.
        (
            ['Basic realm="https://1.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"'],
            [
                Challenge(
                    "basic",
                    {"realm": "https://1.dkr.ecr.eu-west-1.amazonaws.com/", "service": "ecr.amazonaws.com"},
                )
            ],
        ),
        (['Basic realm="Artifactory Realm"'], [Challenge("basic", {"realm": "Artifactory Realm"})]),
        # zuul: no service, and a scope of no grammar.
        (
            ['Bearer realm="http://localhost:9000/auth/token",scope="read"'],
            [Challenge("bearer", {"realm": "http://localhost:9000/auth/token", "scope": "read"})],
        ),
        # RFC 9110, 11.6.1: the example, with a quoted comma and escaped quotes.
        (
            ['Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\", please"'],
            [
                Challenge("basic", {"realm": "simple"}),
                Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps", please'}),
            ],
        ),
        # RFC 9110, 11.2: token68 instead of parameters.
        (["Negotiate YII=, Basic"], [Challenge("negotiate", {}), Challenge("basic", {})]),
        (["Negotiate YII==  , Basic"], [Challenge("negotiate", {}), Challenge("basic", {})]),
        # The first of two equal parameters counts, and a quote that never ends ends with the header.
        (['Bearer realm="a",realm="b"'], [Challenge("bearer", {"realm": "a"})]),
        (['Bearer realm="a'], [Challenge("bearer", {"realm": "a"})]),
        (['Bearer realm="a\\'], [Challenge("bearer", {"realm": "a"})]),
        ([""], []),
        (['"'], []),
        ([", ,"], []),
    ],
)
def test_challenges(values: list[str], expected: list[Challenge]) -> None:
    """Challenges are read as RFC 9110 writes them, and as registries write them."""
    assert expected == list(parse_challenges(values))


@given(st.text(alphabet='aB =,;"<>\\/?:%', max_size=60))
def test_anything_can_be_read(text: str) -> None:
    """No header makes the parsers fail or loop."""
    assert len(parse_challenges([text])) <= MAX_ELEMENTS
    assert len(parse_links([text])) <= MAX_ELEMENTS


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=20), max_size=5))
def test_quoted_parameters_come_back(parameters: dict[str, str]) -> None:
    """Whatever a quoted string holds is read back as it was."""
    written = ",".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in parameters.items()
    )
    assert (Challenge("bearer", parameters),) == parse_challenges([f"Bearer {written}"])
