"""What is different between two configurations: keys, words, secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from twisted_sip.tap.changes import changes, is_below, kept, words
from twisted_sip.tap.configuration import Configuration, read

BASE = Path("/etc/sip")

ROUTES = """
[[route]]
user = "1*"
to = "sip:a@one.example"
[[route]]
user = "2*"
to = "sip:a@two.example"
"""


def conf(text: str) -> Configuration:
    return read(text, "sip.toml", BASE)


def told(before: str, after: str) -> list[str]:
    return [str(change) for change in changes(conf(before), conf(after))]


def test_nothing() -> None:
    assert told(ROUTES, ROUTES) == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("", '[proxy]\nfork = "serial"', 'proxy.fork: "parallel" -> "serial"'),
        ("", "[auth]\nrequired = false", "auth.required: true -> false"),
        ("[limits]\nmax_lag = 0.5", "[limits]\nmax_lag = 1", "limits.max_lag: 0.5 -> 1.0"),
        ('[server]\ndomains = ["a.example"]', "", 'server.domains: ["a.example"] -> []'),
        ("", '[tls]\nca = "roots.pem"', None),
        ("", '[log]\nfile = "sip.log"', 'log.file: nothing -> "/etc/sip/sip.log"'),
        ("", '[auth]\nrealm = "a\\"b"', 'auth.realm: "" -> "a\\"b"'),
    ],
)
def test_a_key(before: str, after: str, line: str | None) -> None:
    if line is None:
        with pytest.raises(Exception, match=r"roots\.pem does not exist"):
            conf(after)
        return
    assert told(before, after) == [line]


def test_routes_that_come_and_go() -> None:
    more = '[[route]]\nuser = "9*"\nstatus = 404\n'
    assert told(ROUTES, more + ROUTES) == ['route[0]: nothing -> { user = "9*", status = 404 }']
    assert told(ROUTES + more, ROUTES) == ['route[2]: { user = "9*", status = 404 } -> nothing']
    assert told(ROUTES, ROUTES.replace("one.example", "six.example")) == [
        'route[0].to: ["sip:a@one.example"] -> ["sip:a@six.example"]'
    ]
    assert told(ROUTES, "") == [
        'route[0]: { user = "1*", to = ["sip:a@one.example"] } -> nothing',
        'route[1]: { user = "2*", to = ["sip:a@two.example"] } -> nothing',
    ]


def test_no_password_is_told() -> None:
    url = '[auth]\ncredentials_url = "https://me:s3cret@users.example/ha1?key=s3cret"'
    (line,) = told("", url)
    assert "s3cret" not in line and "https://***@users.example/ha1?***" in line


@attrs.frozen
class Inner:
    password: str = ""
    name: str = ""


@attrs.frozen
class Outer:
    inner: Inner = Inner()
    many: tuple[Inner, ...] = ()
    named: dict[str, Any] = attrs.field(factory=dict)
    hidden: str = attrs.field(default="", metadata={"secret": True})


def test_secrets_by_name_and_by_mark() -> None:
    after = Outer(Inner("s3cret"), (Inner("s3cret", "x"),), {"api_key": "s3cret", "a": 1}, "s3cret")
    lines = [str(change) for change in changes(Outer(), after)]
    assert lines == [
        'inner.password: "" -> ***',
        'many[0]: nothing -> { password = ***, name = "x" }',
        "named.api_key: nothing -> ***",
        "named.a: nothing -> 1",
        'hidden: "" -> ***',
    ]
    other = attrs.evolve(after, many=(Inner("other", "x"),), named={})
    assert [str(change) for change in changes(after, other)] == [
        "many[0].password: *** -> ***",
        "named.api_key: *** -> nothing",
        "named.a: 1 -> nothing",
    ]


def test_words() -> None:
    assert words(Inner()) == "{}"
    assert words({"token": "s3cret", "a": (1, 2)}) == "{ token = ***, a = [1, 2] }"
    assert words(frozenset({1})) == "[1]"
    assert words(()) == "[]"


def test_what_is_below() -> None:
    assert is_below("storage.directory", ["storage"]) and is_below("route[1].to", ["route"])
    assert is_below("server.state_dir", ["server.state_dir"])
    assert not is_below("server.state_directory", ["server.state_dir"])


def test_what_stays() -> None:
    before = conf(ROUTES + '[auth]\nrealm = "x"')
    after = conf('[auth]\nrealm = "y"\nrequired = false\n[proxy]\nfork = "none"')
    found = kept(before, after, ["route", "auth.realm"])
    assert found.route == before.route and found.auth.realm == "x"
    assert not found.auth.required and found.proxy.fork == "none"
    assert kept(before, after, []) is after
