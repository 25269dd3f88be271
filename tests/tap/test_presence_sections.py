"""Wrong values in the sections of presence: which key, what is wrong, what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.presence.lists.settings import ListSettings
from twisted_sip.tap import configuration


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        configuration.read(text, "sip.toml", Path("/etc"))
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[presence]\ndefault_handling = "alow"', 'presence.default_handling: "alow" is unknown, did you mean allow?'),
        ("[presence]\nmax_body = 0", "presence.max_body: 0 is out of range, write a whole number from 1 to 1048576"),
        (
            "[presence]\nmin_expires = 9000",
            "presence.min_expires: 9000 is more than max_expires, write 7200 or less",
        ),
        (
            '[presence]\noutbound_proxy = "example.com"',
            'presence.outbound_proxy: "example.com" is not a SIP URI, write the proxy like sip:proxy.example.com',
        ),
        (
            '[presence]\noutbound_proxy = "tel:+1"',
            'presence.outbound_proxy: "tel:+1" is not a SIP URI, write the proxy like sip:proxy.example.com',
        ),
        ("[messaging]\nlifetime = 0", "messaging.lifetime: 0.0 must be more than 0, write a number"),
        (
            "[messaging]\nanswer_within = 40",
            "messaging.answer_within: 40 s is longer than senders wait, write less than 32",
        ),
        (
            "[messaging]\nretry_first = 9000",
            "messaging.retry_first: 9000 is more than retry_most, write 1800 or less",
        ),
        (
            "[events]\nnotify_rate = 0",
            "events.notify_rate: 0 is out of range, write a number, more than 0, at most 1000000",
        ),
        (
            "[events]\nanswer_timeout = 601",
            "events.answer_timeout: 601 is out of range, write a number, more than 0, at most 600",
        ),
        (
            "[events]\nmax_per_watcher = 0",
            "events.max_per_watcher: 0 is out of range, write a whole number, at least 1",
        ),
        ("[lists]\nmax_depth = 33", "lists.max_depth: 33 is out of range, write a whole number from 1 to 32"),
        ("[lists]\ngather = -1", "lists.gather: -1 is out of range, write a number from 0 to 60"),
        (
            '[lists]\nad_hoc_user = "a b"',
            'lists.ad_hoc_user: "a b" is not a user part, write one word or nothing',
        ),
        ("[lists]\nmax_resource = 1", "lists.max_resource: unknown key, did you mean max_resources?"),
        ("[events]\nmin_expires = 100_000", "events.min_expires: 100000 is more than max_expires, write 86400 or less"),
        ('[events]\ncontact_user = "a b"', 'events.contact_user: "a b" is not a user part, write one word'),
        (
            '[xcap]\nlisten = ["tcp:80", "udp:81"]',
            "xcap.listen[1]: udp:81: carries no HTTP, write tcp:PORT for http or tls:PORT for https",
        ),
        ('[xcap]\npath = "/a/b"', 'xcap.path: "/a/b" is not a path, write one segment, like /xcap-root'),
        ("[xcap]\nmax_documents = 0", "xcap.max_documents: 0 is out of range, write a whole number, at least 1"),
        ("[xcap]\npaths = 0", "xcap.paths: unknown key, did you mean path?"),
    ],
)
def test_a_wrong_value(text: str, line: str) -> None:
    assert faults(text) == [f"sip.toml: {line}"]


def test_all_at_once() -> None:
    found = faults("[presence]\nx = 1\n[messaging]\nx = 1\n[events]\nx = 1\n[xcap]\nx = 1\n")
    assert [line.partition(": unknown key")[0] for line in found] == [
        "sip.toml: presence.x", "sip.toml: messaging.x", "sip.toml: events.x", "sip.toml: xcap.x"
    ]  # fmt: skip


def test_right_values() -> None:
    read = configuration.read(
        '[presence]\noutbound_proxy = "sip:192.0.2.1;transport=tcp"\n[xcap]\nlisten = ["tls:0"]\n'
        '[lists]\nmax_depth = 32\nad_hoc_user = ""\nremote = false\n',
        "x",
        Path("/"),
    )
    assert read.xcap.listen == ("tls:0",)
    assert read.lists == ListSettings(max_depth=32, ad_hoc_user="", remote=False)
