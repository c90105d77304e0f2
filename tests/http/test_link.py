"""The next page of a list: every form of a Link field in RFC 8288, and none that looks like it."""

from __future__ import annotations

import time

import pytest

from rolecall.http.link import next_page, path_below

HERE = "http://target.example/v2/users?limit=10"
NEXT = "http://target.example/v2/users?offset=10"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(['</v2/users?offset=10>; rel="next"'], id="quoted"),
        pytest.param(["</v2/users?offset=10>;rel=next"], id="token"),
        pytest.param(["<?offset=10> ; REL = Next"], id="in any case, with spaces"),
        pytest.param(
            ['<http://target.example/v2/users?offset=10>; rel="last next"'], id="two relations"
        ),
        pytest.param(['</a>; rel="first", </v2/users?offset=10>; rel="next"'], id="behind another"),
        pytest.param(
            ['</a>; rel="first"', '</v2/users?offset=10>; rel="next"'],
            id="in the second of two fields",
        ),
        pytest.param(
            ['</v2/users?offset=10>; title="one, <two>; rel=prev"; rel="next"'],
            id="behind a quoted comma",
        ),
        pytest.param(
            [r'</v2/users?offset=10>; title="a \" quote"; rel="next"'], id="behind an escaped quote"
        ),
        pytest.param(["</v2/users?offset=10>; rel=next; rel=prev"], id="the first relation counts"),
        pytest.param([", ,</v2/users?offset=10>; rel=next,"], id="empty elements"),
        pytest.param(["garbage, </v2/users?offset=10>; rel=next"], id="behind garbage"),
        pytest.param(
            ['</a>; anchor="#b"; rel="next", </v2/users?offset=10>; rel="next"'],
            id="behind another page's next",
        ),
    ],
)
def test_the_next_page(fields: list[str]) -> None:
    """A link with the relation "next" is found, whatever stands around it (RFC 8288 3, RFC 9110
    5.3).
    """
    assert next_page(HERE, fields) == NEXT


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="no field"),
        pytest.param(['</b>; rel="next-archive"'], id="a relation that begins like it"),
        pytest.param(['</b>; rel="prev"; rel="next"'], id="a second rel, which does not count"),
        pytest.param(['</b>; title="x; rel=next"'], id="inside of a title"),
        pytest.param(['</b>; anchor="/c"; rel="next"'], id="of another page"),
        pytest.param(['<http://[x>; rel="next"'], id="no URL"),
        pytest.param(["</b; rel=next"], id="no end of the target"),
        pytest.param(["</b>"], id="no relation"),
    ],
)
def test_no_next_page(fields: list[str]) -> None:
    """A link without the relation "next" is not taken for one, and breaks nothing."""
    assert next_page(HERE, fields) == ""


@pytest.mark.parametrize(
    "text",
    [
        "<" * 60_000,
        "<a>" * 20_000,
        "<a>;" + " " * 60_000 + "x",
        '<a>;x="' * 9_000,
        '<a>;x="' + r"\"<" * 20_000,
        ";=" * 30_000,
        "<a>;" * 15_000,
    ],
)
def test_long_fields_take_no_time(text: str) -> None:
    """A field as long as a header may be is read in linear time: milliseconds, where a quadratic
    reader takes seconds.
    """
    before = time.process_time()

    next_page(HERE, [text])

    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("base", "url", "path"),
    [
        ("http://target.example", NEXT, "/v2/users?offset=10"),
        ("http://target.example/api", "http://target.example/api/v2/users", "/v2/users"),
        ("http://target.example", "HTTP://Target.Example:80/v2/users#top", "/v2/users"),
        ("https://target.example:443", "https://target.example/v2/users", "/v2/users"),
        ("http://target.example", "https://target.example/v2/users", ""),
        ("http://target.example", "http://target.example:8080/v2/users", ""),
        ("http://target.example", "http://target.example.evil.example/v2/users", ""),
        ("http://target.example", "http://other@target.example/v2/users", ""),
        ("http://target.example/api", "http://target.example/apis/v2/users", ""),
        ("http://target.example", "http://target.example:99999/v2/users", ""),
        ("http://target.example/%7Eapi", "http://target.example/~api/v2/users", "/v2/users"),
        (
            "http://target.example/a%2fb",
            "http://target.example/a%2Fb/v2/%75sers?q=%75",
            "/v2/users?q=%75",
        ),
        ("http://target.example/a%2Fb", "http://target.example/a/b/v2/users", ""),
        ("http://target.example/api", "http://target.example/x/../api/./v2/users", "/v2/users"),
        ("http://target.example/api", "http://target.example/api/../v2/users", ""),
        ("http://target.example/api", "http://target.example/api/%2e%2e/v2/users", ""),
        ("http://target.example", "", ""),
    ],
)
def test_a_path_of_the_target(base: str, url: str, path: str) -> None:
    """A URL below the base URL becomes a path of the target, however its host is written; a token
    is sent nowhere else.
    """
    assert path_below(base, url) == path
