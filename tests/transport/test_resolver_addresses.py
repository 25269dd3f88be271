"""RFC 6724 over the addresses of one host, and the hosts file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from twisted_sip.transport.resolver_addresses import order_addresses, system_source_of
from twisted_sip.transport.resolver_hosts import HostsFile, parse_hosts

DUAL = {"4": "198.51.100.117", "6": "2001:db8:1::2"}


def dual(host: str) -> str | None:
    return DUAL["6" if ":" in host else "4"]


def only_v4(host: str) -> str | None:
    return None if ":" in host else DUAL["4"]


def test_ipv6_comes_first_where_both_are_global() -> None:
    # RFC 6724 section 10.2, second example.
    assert order_addresses(["198.51.100.121", "2001:db8:1::1"], dual) == ("2001:db8:1::1", "198.51.100.121")


def test_the_order_of_the_dns_stays_within_a_family() -> None:
    hosts = ["198.51.100.9", "198.51.100.3", "198.51.100.7"]
    assert order_addresses(hosts, dual) == tuple(hosts)


def test_addresses_of_a_family_without_a_way_are_dropped() -> None:
    assert order_addresses(["2001:db8:1::1", "198.51.100.121"], only_v4) == ("198.51.100.121",)


def test_all_are_kept_where_none_has_a_way() -> None:
    hosts = ("2001:db8:1::1", "198.51.100.121")
    assert order_addresses(hosts, lambda host: None) == hosts


def test_one_address_is_not_asked_about() -> None:
    assert order_addresses(["2001:db8:1::1", "2001:db8:1::1"], only_v4) == ("2001:db8:1::1",)


def test_scope_must_match_before_anything_else() -> None:
    # RFC 6724 section 10.2, first example turned round: the source is link-local, the first destination is global.
    sources = {"2001:db8:1::1": "fe80::1", "198.51.100.121": "198.51.100.117"}
    assert order_addresses(["2001:db8:1::1", "198.51.100.121"], sources.get) == ("198.51.100.121", "2001:db8:1::1")


def test_a_native_way_is_preferred_to_6to4() -> None:
    # RFC 6724 section 10.2: matching label.
    sources = {
        "2002:c633:6401::1": "2002:c633:6401::d5e3:7953:13eb:22e8",
        "2001:db8:1::1": "2002:c633:6401::d5e3:1:2:3",
    }
    assert order_addresses(["2001:db8:1::1", "2002:c633:6401::1"], sources.get)[0] == "2002:c633:6401::1"


def test_unique_local_addresses_come_after_ipv4() -> None:
    sources = {"fd00::1": "2001:db8::1", "198.51.100.121": "198.51.100.117"}
    assert order_addresses(["fd00::1", "198.51.100.121"], sources.get) == ("198.51.100.121", "fd00::1")


def test_smaller_scope_and_longer_prefix() -> None:
    sources = {"fe80::2": "fe80::1", "2001:db8:1::1": "2001:db8:1::2", "2001:db8:3ffe::1": "2001:db8:3f44::2"}
    assert order_addresses(["2001:db8:1::1", "fe80::2"], sources.get) == ("fe80::2", "2001:db8:1::1")
    assert order_addresses(["2001:db8:3ffe::1", "2001:db8:1::1"], sources.get)[0] == "2001:db8:1::1"


def test_site_local_and_multicast_have_their_scopes() -> None:
    sources = {"fec0::2": "fec0::1", "ff15::1": "2001:db8::1", "169.254.1.1": "169.254.1.2"}
    assert set(order_addresses(sources, sources.get)) == set(sources)


def test_the_kernel_is_asked_without_sending() -> None:
    assert system_source_of("127.0.0.1") == "127.0.0.1"
    assert system_source_of("not an address") is None


def test_parse_hosts() -> None:
    table = parse_hosts(
        "# a comment\n127.0.0.1\tlocalhost Box # more\n::1 localhost\n\nnonsense here\nfe80::1%lo0 scoped\n10.0.0.1\n"
    )
    assert table == {"localhost": ("127.0.0.1", "::1"), "box": ("127.0.0.1",)}


@pytest.fixture
def hosts_path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 pbx\n")
    return path


def test_the_hosts_file_is_read_again_when_it_has_changed(hosts_path: Path) -> None:
    clock = Clock()
    hosts = HostsFile(clock, str(hosts_path))
    assert hosts.lookup("pbx") == ("192.0.2.1",)
    assert hosts.lookup("other") == ()
    hosts_path.write_text("192.0.2.22 pbx\n")
    os.utime(hosts_path, ns=(1, 1))
    assert hosts.lookup("pbx") == ("192.0.2.1",)
    clock.advance(5)
    assert hosts.lookup("pbx") == ("192.0.2.22",)
    clock.advance(5)
    assert hosts.lookup("pbx") == ("192.0.2.22",)


def test_a_hosts_file_that_goes_is_empty(hosts_path: Path) -> None:
    clock = Clock()
    hosts = HostsFile(clock, str(hosts_path))
    assert hosts.lookup("pbx")
    hosts_path.unlink()
    clock.advance(5)
    assert hosts.lookup("pbx") == ()
