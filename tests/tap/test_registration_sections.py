"""What a configuration file says of push notifications, third parties and client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.configuration import read
from twisted_sip.tap.transport_settings import transport_settings


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, "sip.toml", Path("/etc/sip"))
    return [problem.removeprefix("sip.toml: ") for problem in caught.value.problems]


def test_what_may_be_written(tmp_path: Path) -> None:
    for name in ("ca.pem", "clients.pem"):
        (tmp_path / name).write_text("x")
    configuration = read(
        f"""
        [server]
        listen = ["udp:5060"]
        [auth]
        qop = ["auth", "auth-int"]
        [tls]
        client_certificates = "ask"
        ca = "ca.pem"
        client_ca = "clients.pem"
        reuse_connections = false
        [[tls.client]]
        fingerprint = "{"0a" * 32}"
        user = "sip:gateway@example.com"
        [[tls.client]]
        name = "sbc.example.net"
        domain = "example.net"
        [registrar]
        temporary_gruus = false
        reg_event = true
        [[registrar.third_party]]
        registrants = ["sip:desk@example.com"]
        users = ["sip:2*@example.com"]
        [push]
        providers = ["apns", "fcm"]
        url = "https://push.example.com/wake"
        wait = 20
        """,
        "sip.toml",
        tmp_path,
    )
    assert configuration.auth.qop == ("auth", "auth-int")
    assert configuration.registrar.third_party[0].allows("sip:desk@example.com", "sip:201@example.com")
    assert (configuration.push.providers, configuration.push.wait) == (("apns", "fcm"), 20.0)
    tls = transport_settings(configuration, ["example.com"]).tls
    assert (tls.client_certificates, tls.client_roots) == ("ask", str(tmp_path / "clients.pem"))
    assert [known.user or known.domain for known in tls.clients] == ["sip:gateway@example.com", "example.net"]
    assert not tls.aliases


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[push]\nproviders = ['a b']", 'push.providers: "a b" is no pn-provider, write one like apns'),
        (
            "[push]\nurl = 'https://x'",
            'push.providers: is missing beside url, write those that the url serves, like ["apns", "fcm"]',
        ),
        ("[push]\nwait_other = 40", "push.wait_other: 40 is out of range, write a number, more than 0, less than 30"),
        ("[push]\nproviders = ['apns']\nurl = 'ftp://x'", 'push.url: "ftp://x" is no http or https URL, write one like '
         "https://push.example.com/wake"),
        (
            "[[tls.client]]\nuser = 'sip:a@example.com'",
            "tls.client[0].fingerprint: is missing, write one of fingerprint, subject and name",
        ),
        ("[[tls.client]]\nname = 'x'", "tls.client[0].user: is missing, write one of user and domain"),
        (
            "[[tls.client]]\nname = 'x'\nsubject = 'y'\ndomain = 'z'",
            "tls.client[0].name: stands beside subject, write one of fingerprint, subject and name",
        ),
        (
            "[[tls.client]]\nfingerprint = 'abc'\ndomain = 'z'",
            "tls.client[0].fingerprint: is no SHA-256 fingerprint, write 64 hexadecimal digits",
        ),
        (
            "[[tls.client]]\nname = 'x'\nuser = 'bob'",
            'tls.client[0].user: "bob" is no address-of-record, write sip:user@domain',
        ),
        ("[tls]\nclient_certificates = 'maybe'", 'tls.client_certificates: "maybe" is unknown, write one of '
         '"none", "ask", "require"'),
        (
            "[[registrar.third_party]]\nregistrants = ['desk']\nusers = ['sip:a@b']",
            'registrar.third_party[0].registrants: "desk" is no address-of-record, write sip:user@domain',
        ),
        ("[[registrar.third_party]]\nusers=['sip:a@b']", "registrar.third_party[0].registrants: is missing, write it"),
        ("[auth]\nqop = []", "auth.qop: []: one has to stand there, and each may stand once, "
         'write a list, each one of "auth", "auth-int"'),
        ("[auth]\nqop = ['auth-conf']", 'auth.qop[0]: "auth-conf" is unknown, did you mean auth-int?'),
    ],
)  # fmt: skip
def test_faults(text: str, fault: str) -> None:
    assert problems(text) == [fault]
