"""Authorization in ten thousand malformed shapes: one answer each, never 200 or 500; valid
ones in odd but legal spelling are taken (RFC 3261 section 25.1, RFC 7616 section 3.4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from houses import ALICE, HOST, House, credentials

from twisted_sip.message.response import Response
from twisted_sip.testing.peer import on_the_wire

SHAPES = 10_000
BATCH = 250
#: Nobody is banned: each shape is to be looked at.
NO_BANS = "[auth]\nban_failures = 0\nban_users = 0\n"
#: What the digest covers, or what it is found by; without one of them there is none.
ESSENTIAL = ("username", "realm", "nonce", "uri", "response", "nc", "cnonce")
VALUES = (
    "",
    " ",
    '"',
    '""',
    "\\",
    "\\\\\\",
    '\\"',
    "'",
    "''--",
    "%s%n",
    "{user}",
    "{{7*7}}",
    "$(id)",
    "`id`",
    "\x1b[2J",
    "\x7f",
    "é",
    "\u202e",
    "\ud800",
    "\udcff",
    "٣",
    "0",
    "-1",
    "00000000",
    "ffffffff",
    "100000000",
    "0x1",
    "1e9",
    "9" * 400,
    "a" * 5000,
    "a,b",
    "a=b",
    ";",
    "<>",
    "sip:",
    "sip:[",
    "sips:bob@example.com",
    "*",
    "null",
    "None",
    "auth-int",
    "auth,auth-int",
    "AUTH",
    "MD5-sess",
    "SHA-256",
    "SHA-512-256",
    "SHA-999",
    "true",
    "UTF-8''alice",
    "UTF-8''%zz",
    "UTF-8''%00",
    "''",
    "\t",
)
SCHEMES = (
    "Digest",
    "digest",
    "Digest\t",
    "DIGEST ",
    "Basic",
    "Bearer",
    "NTLM",
    "",
    "Digest,",
    "Digest=",
    "é",
    "Digest Digest",
)


@pytest.fixture(scope="module")
def house(make_house: Callable[..., House]) -> House:
    made = make_house("proxy", NO_BANS)
    made.network._keep_trace = False
    return made


def fresh(house: House) -> Response:
    text = house.text_of("REGISTER", f"sip:{HOST}", sender=ALICE)
    (challenge,) = [answer for answer in house.ask(text) if answer.call_id == f"hard{house.number}"]
    return challenge


def parsed(line: str) -> dict[str, str]:
    """Return the parameters of our own credentials, quotes and all."""
    return dict(part.split("=", 1) for part in line.partition("Digest ")[2].split(", "))  # type: ignore[misc]


def without_one(chance: random.Random, params: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give *params* without an essential one, or with another value for it."""
    name = chance.choice(ESSENTIAL)
    how = chance.randrange(3)
    for key, value in params.items():
        if key != name:
            yield key, value
        elif how == 1:
            yield key, f'"{chance.choice(VALUES)}"' if chance.random() < 0.7 else chance.choice(VALUES)
        elif how == 2:
            place = chance.randrange(1, max(2, len(value) - 1))
            yield key, value[:place] + chance.choice("gz-%~ ") + value[place + 1 :]


def mangled(chance: random.Random, params: dict[str, str]) -> str:
    """Give *params*, which prove nothing, in any shape."""
    items = list(params.items())
    for _ in range(chance.randint(1, 4)):
        what = chance.randrange(8)
        place = chance.randrange(len(items)) if items else 0
        key, value = items[place] if items else ("x", "y")
        if what == 0:
            items.append((key, chance.choice(VALUES)))
        elif what == 1 and items:
            items[place] = (key, value.replace('"', ""))
        elif what == 2 and items:
            items[place] = (chance.choice((key.upper(), key + "*", "", "é", f'"{key}"', key + " ")), value)
        elif what == 3:
            chance.shuffle(items)
        elif what == 4 and items:
            items[place] = (key, f'"{chance.choice(VALUES)}"')
        elif what == 5 and items:
            items[place] = (key, chance.choice(VALUES))
        elif what == 6:
            items += items * chance.randint(1, 20)
        elif items:
            del items[place]
    equals = chance.choice(("=", "=", "=", " = ", "==", "", ":"))
    comma = chance.choice((", ", ", ", ",", " ", ";", ",,", " ,\r\n "))
    text = f"{chance.choice(SCHEMES)} " + comma.join(f"{key}{equals}{value}" for key, value in items)
    if chance.random() < 0.3:
        place = chance.randrange(len(text))
        text = text[:place] + chance.choice(VALUES) + text[place + chance.randint(0, 9) :]
    if chance.random() < 0.1:
        text = text[: chance.randrange(len(text))]
    # A datagram has no room for more.
    return text[:20_000]


def shapes(house: House, chance: random.Random, count: int) -> Iterator[str]:
    """Give *count* Authorization lines, none of which proves anything."""
    for number in range(count):
        if number % 500 == 0:
            challenge = fresh(house)
        name = "Authorization"
        right = number % 2
        line = credentials(challenge, "REGISTER", f"sip:{HOST}", "alice", "wonderland" if right else "looking-glass")
        params = parsed(line)
        if right:
            value = "Digest " + ", ".join(f"{key}={text}" for key, text in without_one(chance, params))
        else:
            value = mangled(chance, params)
            # Twice, or where it has no business.
            name = chance.choice((name, name, name, "AUTHORIZATION", "authorization ", "Proxy-Authorization"))
        yield f"{name}: {value}" + (f"\r\n{name}: {value[::-1]}" if chance.random() < 0.05 else "")


def test_ten_thousand_malformed_shapes(house: House) -> None:
    chance = random.Random(7616)
    client = house.client
    waiting: dict[str, str] = {}

    def settle() -> None:
        client.skip()
        house.network.advance(1.0)
        for arrival in client.arrivals:
            message = arrival.message
            assert isinstance(message, Response)
            line = waiting.pop(message.call_id, None)
            if line is not None:
                assert message.status in (400, 401, 403, 513), (message.status, line)
        # Each has had its answer, and one only.
        assert not waiting, list(waiting.values())[:3]
        client.arrivals.clear()
        client.skip()

    for number, line in enumerate(shapes(house, chance, SHAPES)):
        text = house.text_of("REGISTER", f"sip:{HOST}", "MARK", sender=ALICE)
        # What peers send may be no UTF-8.
        data = on_the_wire(text).replace(b"MARK", line.encode("utf-8", "surrogatepass" if number % 3 else "replace"))
        waiting[f"hard{house.number}"] = line
        client.send(data, (HOST, 5060))
        if number % BATCH == BATCH - 1:
            settle()
    settle()
    assert house.server.counts()["bindings"] == 0
    house.sane()


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line,
        lambda line: line.replace("Digest ", "dIGEST \t "),
        lambda line: line.replace(", ", ","),
        lambda line: line.replace(", ", " ,\t "),
        lambda line: line.replace(", ", ",\r\n "),
        lambda line: line.replace("=", " = "),
        lambda line: line.replace(", ", ", , "),
        lambda line: line.replace("username", "USERNAME").replace("nc=", "Nc=").replace("response", "Response"),
        lambda line: line.replace('"alice"', '"al\\ice"'),
        lambda line: line.replace("qop=auth", 'qop="auth"'),
        lambda line: line.replace("algorithm=MD5", 'algorithm="md5"'),
        lambda line: line.replace(", algorithm=MD5", ""),
        lambda line: line + ', opaque=""',
        lambda line: line + ', x-vendor="a \\" b, c=d", y=z',
        lambda line: "Authorization: Digest " + ", ".join(reversed(line.partition("Digest ")[2].split(", "))),
        lambda line: line.replace("Authorization: ", "AUTHORIZATION \t:\t"),
        lambda line: (
            f'Authorization: Digest username="x", realm="other", nonce="n", uri="sip:a", response="{"0" * 32}"\n{line}'
        ),
        lambda line: f"{line}\nAuthorization: Basic YTpi",
        lambda line: f"Authorization: Bearer abc\n{line}",
    ],
)
def test_odd_but_legal(house: House, change: Callable[[str], str]) -> None:
    line = change(credentials(fresh(house), "REGISTER", f"sip:{HOST}", "alice"))
    data = on_the_wire(
        house.text_of("REGISTER", f"sip:{HOST}", "MARK", sender=ALICE).replace("<sip:client@", "<sip:c@")
    )
    data = data.replace(
        b"MARK", b"\r\n".join(part.encode() for part in line.split("\n")) if "\r" not in line else line.encode()
    )
    assert [answer.status for answer in house.ask(data.replace(b"Contact: <sip:c@192.0.2.11>\r\n", b""))] == [200], line
    house.sane()
