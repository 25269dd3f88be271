"""What ``twisted-sip check`` looks at, apart from the network's names: directory, databases, ports, certificates."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs

from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import Failed
from twisted_sip.element.element import Element
from twisted_sip.errors import ConfigurationError, StoreError
from twisted_sip.storage.credentials_sqlite import SQLiteCredentialStore
from twisted_sip.storage.location_sqlite import LOCATION_FILE, stored_bindings
from twisted_sip.storage.sqlite import explain, open_database
from twisted_sip.storage.users_database import USERS_FILE
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.constraints import ListenDescriptor
from twisted_sip.tap.hosts import host_names
from twisted_sip.tap.transport_settings import transport_settings
from twisted_sip.tap.watching_sections import DEFAULT_METRICS_LISTEN
from twisted_sip.transport.certificates import load_key_pair, utc_now
from twisted_sip.transport.descriptors import parse_descriptor
from twisted_sip.transport.identity import proves
from twisted_sip.transport.settings import CertificateFiles

#: What to do about a database where its error does not say that.
_STORE_MEND = "end what holds it, and see that this user may write it"
#: What names the files of a certificate in a listen descriptor.
_OF_CERTIFICATES = re.compile(r":(?:privateKey|certKey|extraCertChain)=(?:[^:\\]|\\.)*")
#: A certificate that ends sooner is worth a word.
_SOON = timedelta(days=30)


@attrs.frozen(slots=True)
class Finding:
    """One thing that was looked at.

    :ivar level: ``ok``, ``warning`` (it works, but) or ``error`` (it does not).
    :ivar subject: what was looked at.
    :ivar text: what was found.
    :ivar mend: what to do about it, empty where nothing need be done.
    """

    level: Literal["ok", "warning", "error"]
    subject: str
    text: str
    mend: str = ""


def local_findings(configuration: Configuration, told: Collection[str] = ()) -> Iterator[Finding]:
    """Yield what is found on this host.

    :param told: the subjects of databases (:func:`database_subject`) of which it has been told that they cannot be
        used; nothing more is told of those.
    """
    yield from surroundings(configuration, partial(_of_server, told=told))


def database_subject(path: Path) -> str:
    """Return the subject of a finding about the database at *path* as a file."""
    return f"database {path}"


def _of_server(configuration: Configuration, told: Collection[str]) -> Iterator[Finding]:
    directory = configuration.storage.directory or configuration.server.state_dir
    for name, findings in (
        (USERS_FILE, _users(configuration)),
        (LOCATION_FILE, _location(configuration)),
    ):
        if database_subject(directory / name) not in told:
            yield from findings
    yield from _others(configuration, told)


def surroundings(
    configuration: Configuration, more: Callable[[Configuration], Iterator[Finding]] | None = None
) -> Iterator[Finding]:
    """Yield what every server needs: its directory, *more* about what is in there, certificates, ports."""
    running = _running(configuration.server.state_dir)
    yield from _state_dir(configuration, running)
    if more is not None:
        yield from more(configuration)
    certificates = list(_certificates(configuration))
    yield from certificates
    if running:
        yield Finding("ok", "ports", f"the server that runs (process {running['pid']}) has them")
    else:
        yield from _ports(configuration, {finding.text for finding in certificates if finding.level == "error"})
        if more is not None:
            yield from _web_ports(configuration)


def _running(directory: Path) -> dict[str, Any]:
    with contextlib.suppress(Failed), ControlClient(directory) as server:
        found: dict[str, Any] = server.ask("status")
        return found
    return {}


def _state_dir(configuration: Configuration, running: dict[str, Any]) -> Iterator[Finding]:
    directory = configuration.server.state_dir
    subject = f"state directory {directory}"
    if not directory.exists():
        yield Finding("ok", subject, "is not there yet, the first start makes it")
    elif not directory.is_dir():
        yield Finding("error", subject, "is no directory", "choose another with --state-dir or [server] state_dir")
    elif not os.access(directory, os.W_OK | os.X_OK):
        yield Finding("error", subject, "cannot be written", "make it writable for the user that runs the server")
    elif directory.stat().st_mode & 0o077:
        yield Finding("warning", subject, "is open to other users", f"chmod 700 {directory}")
    else:
        yield Finding("ok", subject, f"in use by process {running['pid']}" if running else "can be written")


def _users(configuration: Configuration) -> Iterator[Finding]:
    path = (configuration.storage.directory or configuration.server.state_dir) / USERS_FILE
    mend = "add users with: twisted-sip user add AOR"
    if not path.exists():
        if configuration.auth.required:
            yield Finding("warning", "users", "there are none yet", mend)
        return
    try:
        store = SQLiteCredentialStore(path)
    except StoreError as error:
        yield Finding("error", "users", *split_words(str(error), _STORE_MEND))
        return
    try:
        users = store.users()
    except StoreError as error:
        yield Finding("error", "users", *split_words(str(error), _STORE_MEND))
        return
    finally:
        store.close()
    realm = configuration.auth.realm
    realms = {realm} if realm else {name.lower().strip("[]") for name in configuration.server.domains or host_names()}
    able = sum(user.realm in realms for user in users)
    if able or not configuration.auth.required:
        yield Finding("ok", "users", f"{able} can log in")
    else:
        yield Finding("warning", "users", f"none of {len(users)} is in a domain of this server", mend)
    if not configuration.auth.required:
        yield Finding("warning", "auth", "nobody is asked for a password", "set [auth] required = true")


def _location(configuration: Configuration) -> Iterator[Finding]:
    path = (configuration.storage.directory or configuration.server.state_dir) / LOCATION_FILE
    if not path.exists():
        return
    try:
        count = len(stored_bindings(path, time.time()))
    except StoreError as error:
        yield Finding("error", "registrations", *split_words(str(error), _STORE_MEND))
    else:
        yield Finding("ok", "registrations", f"{count} in the database")


def _others(configuration: Configuration, told: Collection[str]) -> Iterator[Finding]:
    """Look at the databases of call records, presence and messaging, if there are any."""
    # Who asks for help alone needs nothing of this.
    from twisted_sip.storage.accounting_rows import ACCOUNTING_FILE, ACCOUNTING_SCHEMA
    from twisted_sip.storage.documents_sqlite import DOCUMENTS_SCHEMA
    from twisted_sip.storage.message_rows import MESSAGE_SCHEMA
    from twisted_sip.storage.message_sqlite import MESSAGE_FILE
    from twisted_sip.storage.publication_sqlite import PUBLICATION_FILE, PUBLICATION_SCHEMA
    from twisted_sip.storage.subscription_sqlite import SUBSCRIPTION_FILE, SUBSCRIPTION_SCHEMA
    from twisted_sip.tap.presence_part import DOCUMENT_FILE

    directory = configuration.storage.directory or configuration.server.state_dir
    for name, schema, table in (
        (ACCOUNTING_FILE, ACCOUNTING_SCHEMA, "call"),
        (PUBLICATION_FILE, PUBLICATION_SCHEMA, "publication"),
        (SUBSCRIPTION_FILE, SUBSCRIPTION_SCHEMA, "subscription"),
        (MESSAGE_FILE, MESSAGE_SCHEMA, "message"),
        (DOCUMENT_FILE, DOCUMENTS_SCHEMA, "document"),
    ):
        path = directory / name
        if not path.exists() or database_subject(path) in told:
            continue
        subject = "call records" if name == ACCOUNTING_FILE else name.removesuffix(".db")
        try:
            # Records of calls may be too many to be looked through for damage.
            connection = open_database(path, schema, synchronous="NORMAL", check=name != ACCOUNTING_FILE)
            try:
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            except sqlite3.Error as error:
                raise explain(path, error) from error
            finally:
                connection.close()
        except StoreError as error:
            yield Finding("error", subject, *split_words(str(error), _STORE_MEND))
        else:
            yield Finding("ok", subject, f"{count} in the database")


def split_words(text: str, mend: str = "") -> tuple[str, str]:
    """Split the words of an error into what is wrong and what to do, *mend* where they do not say that."""
    for mark in ("; ", ", "):
        wrong, _, known = text.rpartition(mark)
        if wrong:
            return wrong, known
    return text, mend


def _certificates(configuration: Configuration) -> Iterator[Finding]:
    secure = [descriptor for descriptor in map(parse_descriptor, configuration.server.listen) if descriptor.kind.secure]
    if not secure:
        return
    section = configuration.tls
    pairs = [descriptor.certificate for descriptor in secure if descriptor.certificate is not None]
    if section.certificate is not None and section.private_key is not None:
        pairs.append(CertificateFiles(private_key=str(section.private_key), certificate=str(section.certificate)))
    elif len(pairs) < len(secure):
        yield Finding(
            "warning",
            "certificate",
            "there is none, the first start makes one that no peer can verify",
            "get one and set [tls] certificate and private_key",
        )
    for files in pairs:
        yield from _certificate(configuration, files)


def _certificate(configuration: Configuration, files: CertificateFiles) -> Iterator[Finding]:
    subject = f"certificate {files.certificate}"
    now = utc_now()
    try:
        pair = load_key_pair(files, now)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding("error", "certificate", *split_words(problem, "write PEM files of a key and its certificate"))
        return
    left = pair.certificate.not_valid_after_utc - now
    if left < _SOON:
        yield Finding("warning", subject, f"ends in {left.days} days", "renew it")
    else:
        yield Finding("ok", subject, f"is good for {left.days} days")
    for domain in configuration.server.domains:
        if not proves(pair.identities, domain):
            known = ", ".join(pair.identities) or "no domain"
            yield Finding("warning", subject, f"proves {known}, not {domain}", f"get one for {domain} (RFC 5922)")


def _ports(configuration: Configuration, told: Collection[str]) -> Iterator[Finding]:
    """Open the ports and close them again.

    :param told: what is wrong with certificates; that is not told once more, and the port looked at without them.
    """
    from twisted.internet import reactor

    for text in configuration.server.listen:
        descriptor = parse_descriptor(text)
        secured = descriptor.certificate is not None or configuration.tls.certificate is not None
        # A certificate that is not there yet is the business of the first start: its port alone is looked at.
        tried = text if secured or not descriptor.kind.secure else f"tcp{text[3:]}"
        wrong = _opened(reactor, configuration, tried)
        if descriptor.kind.secure and any(one in told for one, _ in wrong):
            plain = _OF_CERTIFICATES.sub("", f"tcp{text[3:]}")
            wrong = [one for one in wrong if one[0] not in told] + _opened(reactor, configuration, plain)
        for one in wrong:
            yield Finding("error", f"listen {text}", *one)
        if not wrong:
            yield Finding("ok", f"listen {text}", "can be listened on")


def _opened(reactor: Any, configuration: Configuration, text: str) -> list[tuple[str, str]]:
    """Listen by the descriptor *text* for a moment; return what is wrong, each with its mend."""
    server = attrs.evolve(configuration.server, listen=(ListenDescriptor(text),))
    try:
        element = Element(
            reactor, transport_settings=transport_settings(attrs.evolve(configuration, server=server), ())
        )
        element.transports.listen(text)
    except ConfigurationError as error:
        return [split_words(problem.removeprefix(f"listen {text}: ")) for problem in error.problems]
    element.stop().addErrback(lambda failure: None)
    return []


def _web_ports(configuration: Configuration) -> Iterator[Finding]:
    """Look whether the ports of XCAP are free, where they are written, and those of metrics.

    Others of XCAP cost a warning when the server starts.
    """
    xcap, metrics = configuration.xcap, configuration.metrics
    wanted = [("xcap", text) for text in xcap.listen if xcap.enabled]
    wanted += [("metrics", text) for text in metrics.listen or DEFAULT_METRICS_LISTEN if metrics.enabled]
    for name, text in wanted:
        descriptor = parse_descriptor(text)
        host = descriptor.interface or "0.0.0.0"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((host, descriptor.port))
        except OSError as error:
            yield Finding("error", f"{name} {text}", (error.strerror or str(error)).lower(), "choose another port")
        else:
            yield Finding("ok", f"{name} {text}", "can be listened on")
