"""Faults in what an operator writes for ``twistd sip-ua`` and for the media of ``twistd sip-b2bua``: one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.agent.settings import AgentSettings
from twisted_sip.errors import ConfigurationError, LocalProtocolError
from twisted_sip.media.settings import MediaSettings
from twisted_sip.tap.configuration import read as read_server
from twisted_sip.tap.configuration import read_as
from twisted_sip.tap.hosts import check_bindable
from twisted_sip.tap.sip_ua import Options
from twisted_sip.tap.ua_sections import KINDS, UA_CHECKS, UAConfiguration


def fault(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_as(UAConfiguration, text, "ua.toml", Path("/nowhere"), UA_CHECKS, KINDS)
    [line] = caught.value.problems
    return line.removeprefix("ua.toml: ")


def server_fault(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_server(text, "b.toml", Path("/nowhere"))
    [line] = caught.value.problems
    return line.removeprefix("b.toml: ")


def test_an_empty_answer() -> None:
    right = "is empty, write echo, play FILE, record DIR, dtmf-menu FILE or reject STATUS"
    assert fault('[answer]\nanswer = ""\n') == f"answer.answer: {right}"
    options = Options()
    options.parseOptions(["--answer", ""])
    with pytest.raises(ConfigurationError) as caught:
        options.configuration()
    assert list(caught.value.problems) == [f"command line: --answer: {right}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ports = [2000]", "ports: [2000] has 1 of 2, write a list of whole numbers, two of them, from 1024 to 65535"),
        ("ports = [20000, 10]", "ports: [20000, 10] is out of range, write a list of whole numbers, two of them"),
        ("ports = [20001, 20002]", "ports: [20001, 20002] is out of range"),
        ('codecs = ["opuss"]', 'codecs: "opuss" is not allowed, write a list of texts in quotes out of "PCMU", "PCMA"'),
        ('ice = "ful"', 'ice: "ful" is unknown, write one of "off", "lite", "full"'),
        ("ptime = 25", "ptime: 25 is out of range, write one of 10, 20, 30, 40, 60"),
        ("jitter_most = 5000", "jitter_most: 5000 is out of range, write a whole number from 10 to 1000"),
        ('keying = ["x"]', 'keying: "x" is not allowed, write a list of texts in quotes out of "sdes", "dtls"'),
        ('host = "nowhere"', 'host: "nowhere" is not an address, write a numeric one, like 192.0.2.1'),
        ('host = ""', "host: is empty, write an address of this host, like 192.0.2.1"),
        ('host = "0.0.0.0"', 'host: "0.0.0.0" is nowhere to send to, write an address of this host, like 192.0.2.1'),
        ('advertise = "[2001:db8::1]"', 'advertise: "[2001:db8::1]" is not an address, write a numeric one'),
    ],
)
def test_media(text: str, told: str) -> None:
    assert fault(f"[media]\n{text}\n").startswith(f"media.{told}")
    assert server_fault(f"[media]\n{text}\n").startswith(f"media.{told}")


def test_every_address_where_another_one_is_told() -> None:
    text = '[media]\nhost = "0.0.0.0"\nadvertise = "192.0.2.1"\n'
    assert read_server(text, "b.toml", Path()).media.address == "192.0.2.1"


def test_servers_that_nobody_would_ask() -> None:
    assert fault('[server]\nstun = ["192.0.2.1"]\n') == (
        'server.stun: is of use with full ICE alone, write ice = "full" in [media]'
    )
    assert fault('[[turn]]\naddress = "192.0.2.1"\n[media]\nice = "lite"\n').startswith("turn: is of use with full ICE")
    ice = '[media]\nice = "full"\n[[turn]]\n'
    assert fault(f'{ice}address = "turn.example.com"\n') == (
        'turn[0].address: "turn.example.com" is not an address, write a numeric address and a port, like 192.0.2.1:3478'
    )
    assert fault(f'{ice}address = "192.0.2.1"\npassword = "x"\n') == (
        "turn[0].user: is missing beside the password, write the user name"
    )
    assert fault(f'{ice}address = "192.0.2.1"\nuser = "x"\n') == (
        "turn[0].password: is missing beside the user name, write it, or a password_file"
    )
    assert fault(f'{ice}address = "192.0.2.1"\nuser = "x"\npassword = "x"\npassword_file = "{__file__}"\n') == (
        "turn[0].password_file: is written beside password, write one of them"
    )


def test_lines() -> None:
    twice = '[[line]]\naor = "sip:bob@example.com"\n[[line]]\naor = "sip:bob@EXAMPLE.com"\n'
    assert fault(twice) == 'line[1].aor: "sip:bob@EXAMPLE.com" is written twice, write each line once'
    assert fault('[[line]]\naor = "sip:bob@example.com"\nring = 500\n') == (
        "line[0].ring: 500 is out of range, write a number from -1 to 170"
    )


def test_servers_are_addresses() -> None:
    assert fault('[agent]\nservers = ["pbx"]\n') == 'agent.servers: "pbx" is no address, write one like 192.0.2.1'
    with pytest.raises(LocalProtocolError):
        AgentSettings(servers=("pbx",))
    # As the addresses of flows are written, however the operator writes them.
    assert AgentSettings(servers=("2001:DB8:0:0::1", "[::1]")).servers == ("2001:db8::1", "::1")
    assert AgentSettings(transfer_targets=("Example.COM",)).transfer_targets == ("example.com",)


def test_header_fields_that_cannot_pass() -> None:
    right = "write names of header fields like X-Account"
    assert server_fault('[b2bua]\npass_headers = ["Via"]\n') == (
        f"b2bua.pass_headers: via belongs to one leg and is not passed on, {right}"
    )
    assert server_fault('[b2bua]\nremove_headers = ["Via", "a b"]\n') == (
        f"b2bua.remove_headers: 'a b' is no name of a header field, {right}"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("min_se = 3600", "1800 is less than min_se, write 3600"),
        ("session_expires = 30", "30 is less than min_se, write 90"),
    ],
)
def test_intervals_that_are_too_short(text: str, found: str) -> None:
    """RFC 4028 section 7.1."""
    assert server_fault(f"[b2bua]\n{text}\n") == f"b2bua.session_expires: {found} or more, or 0"


@pytest.mark.parametrize("name", ["a b", "", "x\\u0001y"])
def test_info_packages_that_are_none(name: str) -> None:
    fault = server_fault(f'[b2bua]\ninfo_packages = ["g.example.keys", "{name}"]\n')
    assert fault.startswith("b2bua.info_packages: ") and fault.endswith(
        " is no name of an Info Package, write names of Info Packages, like g.example.keys"
    )


def test_addresses_of_others() -> None:
    check_bindable("media.host", "127.0.0.1")
    with pytest.raises(ConfigurationError) as caught:
        check_bindable("media.host", "203.0.113.1")
    assert list(caught.value.problems) == ["media.host: 203.0.113.1 is no address of this host, choose one that is"]


def test_a_codec_that_is_named_twice() -> None:
    from twisted_sip.media.codecs.table import codec_kinds

    settings = MediaSettings(codecs=("PCMU", "pcmu", "L16", "L16/8000"))
    assert [kind.name for kind in codec_kinds(settings.codecs)] == ["PCMU", "L16"]
