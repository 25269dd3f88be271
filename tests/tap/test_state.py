"""The state directory, the demo users in it, and the names of this host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.demo import DEMO_NAME, account_settings, demo_passwords, store_demo_users
from twisted_sip.tap.faults import WrongSetting
from twisted_sip.tap.hosts import host_names, is_host, listen_descriptor
from twisted_sip.tap.making import accounts
from twisted_sip.tap.sections import ServerSection
from twisted_sip.tap.startup import StartFailure
from twisted_sip.tap.state import KEY_NAME, prepare, secret_key, write_private
from twisted_sip.transport.descriptors import parse_descriptor


def test_the_directory_is_for_its_owner(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    prepare(tmp_path / "a" / "b")


def test_the_key_survives_and_is_for_its_owner(tmp_path: Path) -> None:
    key = secret_key(tmp_path)
    assert len(key) == 32
    assert secret_key(tmp_path) == key
    assert (tmp_path / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]


def test_a_damaged_key(tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).write_bytes(b"short")
    with pytest.raises(StartFailure, match="is damaged, remove it"):
        secret_key(tmp_path)


def test_a_key_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StartFailure, match="no such file or directory"):
        secret_key(tmp_path / "none")


def test_private_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_demo_passwords_are_kept(tmp_path: Path) -> None:
    passwords = demo_passwords(tmp_path)
    assert sorted(passwords) == ["alice", "bob"]
    assert passwords["alice"] != passwords["bob"]
    assert all(len(password) == 14 for password in passwords.values())
    assert demo_passwords(tmp_path) == passwords
    assert (tmp_path / DEMO_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"alice": 5}', "\xff"])
def test_damaged_demo_passwords(tmp_path: Path, text: str) -> None:
    (tmp_path / DEMO_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(StartFailure, match="is damaged, remove it"):
        demo_passwords(tmp_path)


def test_demo_users_are_stored_in_every_realm(tmp_path: Path) -> None:
    store = SQLiteCredentialStore(tmp_path / "users.db")
    store_demo_users(store, {"alice": "a", "bob": "b"}, ["example.com", "192.0.2.1"])
    store_demo_users(store, {"alice": "a", "bob": "b"}, ["example.com"])
    assert [(one.user, one.realm) for one in store.users()] == [
        ("alice", "192.0.2.1"),
        ("bob", "192.0.2.1"),
        ("alice", "example.com"),
        ("bob", "example.com"),
    ]
    store.close()


def test_what_to_type_into_the_phones() -> None:
    text = account_settings({"alice": "pa", "bob": "pb"}, ["2001:db8::1", "example.com"], "192.0.2.1", ["udp 5060"])
    for line in (
        "address    sip:alice@[2001:db8::1]",
        "password   pa",
        "password   pb",
        "server     192.0.2.1",
        "transport  udp 5060",
        "Then call sip:bob@[2001:db8::1] from alice's phone.",
        "both may have one of: example.com.",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"domains": ("example.com",), "listen": ("udp:5060:interface=127.0.0.1",)}, "127.0.0.1"),
        ({"domains": ("192.0.2.7",), "listen": ("udp:5060:interface=127.0.0.1",)}, "192.0.2.7"),
        ({"domains": ("[2001:db8::1]",)}, "[2001:db8::1]"),
        ({"domains": ("example.com",), "advertise": "sip.example.com"}, "sip.example.com"),
        ({"domains": ("example.com",)}, host_names()[0]),
        ({"listen": ("udp:0:interface=127.0.0.1",)}, "127.0.0.1"),
        ({"listen": ("udp:0:interface=127.0.0.1", "tcp:0")}, host_names()[0]),
    ],
)
def test_phones_are_told_an_address_that_needs_no_dns(settings: dict[str, Any], address: str) -> None:
    server = Server(Clock(), Configuration(server=ServerSection(**settings)))
    assert f"server     {address}\n" in accounts(server, {"alice": "pa", "bob": "pb"})


def test_phones_are_told_a_domain_that_leads_to_where_the_server_listens() -> None:
    listen = ("udp:0:interface=127.0.0.1", "tcp:5070:interface=127.0.0.1")
    server = Server(Clock(), Configuration(server=ServerSection(listen=listen)))
    text = accounts(server, {"alice": "pa", "bob": "pb"})
    assert "domain     127.0.0.1\n" in text and "sip:alice@127.0.0.1\n" in text
    # A daemon tells it before it listens.
    assert "transport  udp (its port is in the log), tcp 5070\n" in text


@pytest.mark.parametrize(
    "text", ["example.com", "a", "a-b.c_d.e.", "192.0.2.1", "::1", "[2001:db8::1]", "xn--bcher-kva.de"]
)
def test_hosts(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a", "a-", "a b", "sip:a", "a:5060", "192.0.2.256", "1.2.3", "[::1", "a" * 64, "ä.de"]
)
def test_what_is_no_host(text: str) -> None:
    assert not is_host(text)


def test_relative_paths_in_descriptors_count_from_the_base() -> None:
    text = listen_descriptor(r"tls:5071:interface=[::1]:privateKey=k\:x.pem:certKey=/abs/c.pem", Path("/etc/sip"))
    found = parse_descriptor(text)
    assert (found.port, found.interface) == (5071, "::1")
    assert found.certificate is not None
    assert (found.certificate.private_key, found.certificate.certificate) == ("/etc/sip/k:x.pem", "/abs/c.pem")
    assert listen_descriptor("udp:5060", Path("/etc/sip")) == "udp:5060"
    with pytest.raises(WrongSetting, match="unknown transport"):
        listen_descriptor("x:1", Path())


def test_the_names_of_this_host() -> None:
    names = host_names()
    assert "localhost" in names
    assert "127.0.0.1" in names
    assert len(set(names)) == len(names)
    assert all(is_host(name) for name in names)
