"""Faults of routes, gateways and what goes with them: each one line, with its key and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.configuration import Configuration, read

GATEWAY = '[[gateway]]\ngroup = "berlin"\nuri = "sip:gw1.example.net"\n'
ROUTE = '[[route]]\nuser = "0*"\nto = "sip:{user}@h"\n'


def problems(text: str, base: Path = Path("/etc/sip")) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, "f", base)
    return [line.removeprefix("f: ") for line in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('user_matches = "("', 'route[0].user_matches: "(" is not a regular expression (missing ), unterminated'),
        ('user = ""', "route[0].user: is empty, write * for everything"),
        ('caller = "[b-a]"', 'route[0].caller: "[b-a]" is not a pattern, write one with *, ? and [...]'),
        (
            'headers = {"a b" = "*"}',
            'route[0].headers: "a b" is not the name of a header field, write one',
        ),
        ('headers = {"x" = ""}', "route[0].headers.x: is empty, write * for everything"),
        ('hours = "mon-fry 9:00-17:00"', 'route[0].hours[0]: "mon-fry 9:00-17:00": mon-fry is no day, write mon, tue'),
        ('hours = ["25:00-26:00"]', 'route[0].hours[0]: "25:00-26:00": there is no such time of day, write hours like'),
        ('hours = ["always"]', 'route[0].hours[0]: "always" are no hours, write them like mon-fri 09:00-17:00'),
        ('time_zone = "Mars/Base"', 'route[0].time_zone: "Mars/Base" is no time zone, write one like Europe/Berlin'),
        ('time_zone = "../x"', 'route[0].time_zone: "../x" is no time zone'),
        ("strip = -1", "route[0].strip: -1 is out of range, write a whole number, at least 0"),
        ('strip = 1\nrewrite = "x"', "route[0].rewrite: stands beside strip, strip_prefix or add_prefix, write one or"),
        (
            'rewrite = "{2}"',
            'route[0].rewrite: {2} in "{2}" stands for nothing, write one of {user}',
        ),
        ("status = 200", "route[0]: has both to and status, write one of them"),
    ],
)
def test_routes(text: str, fault: str) -> None:
    route = ROUTE if not text.startswith("user =") else ROUTE.replace('user = "0*"\n', "")
    assert problems(f"{route}{text}\n")[0].startswith(fault)


@pytest.mark.parametrize(
    ("to", "fault"),
    [
        ('"gateway:berlim"', 'route[0].to: there is no gateway of the group "berlim", did you mean berlin?'),
        ('["sip:x@h", "gateway:x"]', 'route[0].to[1]: there is no gateway of the group "x", write a [[gateway]] with'),
        ('"least-cost"', "route[0].to: leads to the least-cost table, and there is none, write least_cost.file"),
        ('"leastcost"', 'route[0].to: "leastcost" is not a SIP URI, did you mean least-cost?'),
        ('["sip:{3}@h", "enum"]', 'route[0].to[0]: {3} in "sip:{3}@h" stands for nothing, write one of {user}'),
        ('"tel:+49"', 'route[0].to: "tel:+49" is not a SIP URI, write sip:user@host or sip:host, gateway:GROUP'),
        ("[]", "route[0]: leads nowhere, write to (a SIP URI or several) or status"),
    ],
)
def test_where_routes_lead(to: str, fault: str) -> None:
    (found,) = problems(f"{GATEWAY}[[route]]\nto = {to}\n")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[gateway]]\nuri = "sip:h"', "gateway[0].group: is missing, write it"),
        ('[[gateway]]\ngroup = "a b"\nuri = "sip:h"', 'gateway[0].group: "a b" is no name, write letters, digits'),
        ('[[gateway]]\ngroup = "a"\nuri = "http://h"', 'gateway[0].uri: "http://h" is not a SIP URI, write one like'),
        ('[[gateway]]\ngroup = "a"\nuri = "sip:["', 'gateway[0].uri: "sip:[" is not a SIP URI, write one like'),
        ('[[gateway]]\ngroup = "a"\nuri = "sip:x@h"', 'gateway[0].uri: "sip:x@h" has a user part, leave it out'),
        (f"{GATEWAY}weight = 70000", "gateway[0].weight: 70000 is out of range, write a whole number from 0 to 65535"),
        (f"{GATEWAY}weight = 0", "gateway[0].weight: is 0 for every gateway of the group berlin, write 1 or more"),
        (
            GATEWAY * 2,
            'gateway[1].name: "sip:gw1.example.net" is the name of gateway[0] of this group too',
        ),
        (f"{GATEWAY}probe_interval = -1", "gateway[0].probe_interval: "),
        (
            f"{GATEWAY}inbound = true\nprobe_interval = 0",
            "gateway[0].inbound: its address is not known without probes, write a probe_interval, or the",
        ),
        (f"{GATEWAY}wieght = 1", "gateway[0].wieght: unknown key, did you mean weight?"),
        (
            "[gateways]\nfailover = [200]",
            "gateways.failover: 200 is not allowed, write a list of whole numbers",
        ),
        ("[gateways]\nprobe_timeout = 0", "gateways.probe_timeout: 0 is out of range, write a number, more than 0"),
        ('[enum]\nsuffixes = "a b"', 'enum.suffixes[0]: "a b" is not a domain, write one like e164.arpa'),
        ("[enum]\nsuffixes = []", "enum.suffixes: is empty, write a domain like e164.arpa"),
        ('[emergency]\nnumbers = ["x"]', 'emergency.numbers[0]: "x" is not a number, write digits, as 112'),
        ('[emergency]\nnumber = ""', 'emergency.number: "" is not a number, write digits, as 112'),
        ('[emergency]\nto = "enum"', 'emergency.to: "enum" is not a SIP URI, write sip:user@host or gateway:GROUP'),
        (
            '[emergency]\nto = ["sip:h", "sip:{1}@h"]',
            'emergency.to[1]: {1} in "sip:{1}@h" stands for nothing, write one',
        ),
        (
            '[emergency]\nto = "gateway:psap"',
            'emergency.to: there is no gateway of the group "psap", write a [[gateway]]',
        ),
        (
            '[least_cost]\nfile = "no.csv"',
            "least_cost.file: /etc/sip/no.csv: cannot be read (no such file",
        ),
    ],
)
def test_gateways_and_the_rest(text: str, fault: str) -> None:
    (found,) = problems(text)
    assert found.startswith(fault)


def test_the_library_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twisted_sip.proxy.routes.e164.NEEDS", "no_such_library")
    assert problems('[numbers]\nregion = "DE"') == [
        "numbers.region: needs the library phonenumbers, install twisted-sip[numbers]"
    ]


def test_regions() -> None:
    pytest.importorskip("phonenumbers")
    assert problems('[numbers]\nregion = "Germany"')[0].startswith('numbers.region: "Germany" is no country, write two')
    assert read('[numbers]\nregion = "US"', "f", Path()).numbers.region == "US"


def test_every_fault_of_the_table_of_rates(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("prefix,rate,gateway\n49,1,berlin\n4x,1,berlin\n49,1,paris\n")
    table = f"{GATEWAY}[least_cost]\nfile = 'r.csv'\n"
    assert problems(table, tmp_path) == [
        f'least_cost.file: {tmp_path}/r.csv:3: prefix "4x" is no prefix, write digits, or nothing for all numbers',
        f'least_cost.file: {tmp_path}/r.csv:4: gateway "paris" is unknown, write a group or the name of a [[gateway]]',
    ]


def test_all_that_is_right(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("prefix,rate,gateway\n49,1,berlin\n48,1,two\n")
    found = read(
        f"""
        {GATEWAY}
        [[gateway]]
        group = "berlin"
        uri = "sips:[2001:db8::1]:5071;transport=tcp"
        name = "two"
        weight = 0
        probe_interval = 0
        [[route]]
        method = "INVITE"
        user = "00*"
        user_matches = "00(?P<rest>.*)"
        host = "*.example.com"
        caller = "*@example.com"
        headers = {{ "X-Office" = "berlin*" }}
        hours = "mon-fri 09:00-17:00"
        time_zone = "Europe/Berlin"
        rewrite = "+{{rest}}"
        to = ["enum", "least-cost", "gateway:berlin", "sip:{{user}}@{{host}};x={{dialled}}"]
        [least_cost]
        file = "r.csv"
        [emergency]
        to = ["gateway:berlin", "sip:{{user}}@192.0.2.1", "sip:esrp.example.net;lr"]
        [enum]
        suffixes = ["e164.arpa", "e164.example"]
        """,
        "f",
        tmp_path,
    )
    assert len(found.gateway) == 2 and found.gateway[1].label == "two" and found.route[0].hours
    assert Configuration().gateway == () and Configuration().emergency.to == ()
