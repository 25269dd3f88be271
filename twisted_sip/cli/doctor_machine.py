"""What ``twisted-sip doctor`` finds about this machine: clock, disk, files of the server, limits of the system."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import sqlite3
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from twisted_sip.cli.findings import Finding, database_subject
from twisted_sip.storage.sqlite import explain
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.state import KEY_NAME
from twisted_sip.transport.descriptors import parse_descriptor

#: No clock that is right shows less: 2025-01-01.
_EARLIEST = 1_735_689_600
#: Seconds that two clocks may differ by: Date header fields count seconds, and messages take their time.
_SKEW = 5.0
#: Seconds between the epochs of NTP and UNIX (RFC 5905 section 6).
_NTP_EPOCH = 2_208_988_800
#: What adjtimex(2) returns where nothing keeps the clock right.
_TIME_ERROR = 5

_LITTLE_DISK, _NO_DISK = 500 * 1024 * 1024, 20 * 1024 * 1024
_LONG_LOG = 256 * 1024 * 1024

#: Descriptors beside connections: ports, databases, logs, the control socket.
_OTHER_FILES = 100

#: In milliseconds, how long a database may be held by somebody else.
_HELD = 2.0

_CLOCK_MEND = "let chrony or systemd-timesyncd keep it"


# -- the clock -----------------------------------------------------------------------------


def clock_findings(directory: Path, ntp: str = "") -> Iterator[Finding]:
    """Yield what is found about the clock: registrations, nonces and certificates depend on it.

    :param directory: the state directory, whose files cannot be from the future.
    :param ntp: a time server to ask, empty to ask none.
    """
    now = time.time()
    newest = max((path.stat().st_mtime for path in _files(directory)), default=0.0)
    if now < _EARLIEST:
        shown = time.strftime("%Y-%m-%d", time.gmtime(now))
        yield Finding("error", "clock", f"shows {shown}, which cannot be", f"set it, and {_CLOCK_MEND}")
        return
    if newest > now + 60:
        hours = (newest - now) / 3600
        yield Finding(
            "error", "clock", f"is {hours:.1f} h behind files that the server has written", f"set it, and {_CLOCK_MEND}"
        )
        return
    if ntp:
        yield _by_ntp(ntp)
    elif _kept_right() is False:
        yield Finding("warning", "clock", "is kept right by nothing, says the kernel", _CLOCK_MEND)
    else:
        yield Finding("ok", "clock", "is plausible")


def _kept_right() -> bool | None:
    """Tell whether the kernel takes its clock for right (adjtimex), None if it does not say."""
    try:
        found = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if found < 0 else bool(found != _TIME_ERROR)


def _by_ntp(host: str) -> Finding:
    """Ask *host*, or host:port, for the time (RFC 5905, as SNTP)."""
    subject = "clock"
    name, _, port = host.rpartition(":") if host.count(":") == 1 else (host, "", "123")
    try:
        family, kind, _, _, address = socket.getaddrinfo(name, int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as asking:
            asking.settimeout(3.0)
            asking.connect(address)
            before = time.time()
            # Version 4, mode 3: a client.
            asking.send(b"\x23" + bytes(47))
            data = asking.recv(512)
            after = time.time()
    except (OSError, ValueError) as error:
        return Finding("warning", subject, f"{host} does not tell the time ({_words(error)})", "name another --ntp")
    if len(data) < 48 or data[0] & 7 not in (4, 5) or data[1] == 0:
        return Finding("warning", subject, f"{host} does not know the time", "name another --ntp")
    seconds, fraction = struct.unpack("!II", data[40:48])
    skew = (before + after) / 2 - (seconds + fraction / (1 << 32) - _NTP_EPOCH)
    if abs(skew) > 1.0:
        way = "ahead of" if skew > 0 else "behind"
        return Finding("error", subject, f"is {abs(skew):.1f} s {way} {host}", f"set it, and {_CLOCK_MEND}")
    return Finding("ok", subject, f"differs from {host} by {abs(skew) * 1000:.0f} ms")


def skew_findings(skews: list[float]) -> Iterator[Finding]:
    """Yield what the clocks of peers say: *skews* are our time minus that in Date header fields of theirs, seconds."""
    if len(skews) < 3:
        return
    # One peer may be wrong; most of them are not wrong in the same way.
    typical = sorted(skews)[len(skews) // 2]
    if abs(typical) > _SKEW:
        way = "ahead of" if typical > 0 else "behind"
        yield Finding("warning", "clock", f"is {abs(typical):.0f} s {way} those of peers", f"look at it, {_CLOCK_MEND}")


# -- files -----------------------------------------------------------------------------------


def _files(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.is_file()]
    except OSError:
        return []


def file_findings(configuration: Configuration) -> Iterator[Finding]:
    """Yield what is found about the disk, the databases as files, and who may read secrets.

    To be asked before the databases are opened: opening takes others' rights away.
    """
    state = configuration.server.state_dir
    directories = dict.fromkeys([state, configuration.storage.directory or state])
    for directory in directories:
        if directory.is_dir():
            yield from _disk(directory)
            for path in sorted(directory.glob("*.db")):
                yield from _database(path)
    secrets = [state / KEY_NAME, *_keys(configuration)]
    for path in dict.fromkeys(secrets):
        yield from _secret(path)


def _disk(directory: Path) -> Iterator[Finding]:
    subject = f"disk of {directory}"
    free = shutil.disk_usage(directory).free
    inodes = os.statvfs(directory)
    left = f"{free // (1024 * 1024)} MB are free"
    if free < _NO_DISK or (inodes.f_files and not inodes.f_favail):
        wrong = left if free < _NO_DISK else "no more files can be made"
        yield Finding("error", subject, wrong, "make room: nothing is acknowledged that cannot be stored")
    elif free < _LITTLE_DISK:
        yield Finding("warning", subject, left, "make room")
    else:
        yield Finding("ok", subject, left)


def _database(path: Path) -> Iterator[Finding]:
    subject = database_subject(path)
    wrong = False
    mode = path.stat().st_mode
    if mode & 0o077:
        wrong = True
        yield Finding("warning", subject, "is open to other users, and there are secrets in it", f"chmod 600 {path}")
    if not os.access(path, os.R_OK | os.W_OK):
        yield Finding("error", subject, "cannot be read and written by this user", f"chown it to {_user()}")
        return
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size > _LONG_LOG:
        wrong = True
        size = log.stat().st_size // (1024 * 1024)
        yield Finding("warning", subject, f"has {size} MB in its log", "end what reads it for so long")
    held = _held(path)
    if held:
        mend = "restore a backup or move the file away, and see that it can be written"
        if "locked" in held:
            mend = "end that"
        elif "damaged" in held:
            mend = "restore a backup or move the file away"
        yield Finding("error", subject, held, mend)
    elif not wrong:
        yield Finding("ok", subject, f"{path.stat().st_size // 1024} KB, can be written")


def _held(path: Path) -> str:
    """Return what keeps the database at *path* from being written, empty if nothing does."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=_HELD, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            return "is locked by another process"
        # Whatever its path says.
        return f"is damaged ({error})" if "damaged" in str(explain(Path(), error)) else f"cannot be used ({error})"
    finally:
        if connection is not None:
            connection.close()
    return ""


def _keys(configuration: Configuration) -> Iterator[Path]:
    """Yield the paths of the private keys that the configuration names."""
    if configuration.tls.private_key is not None:
        yield configuration.tls.private_key
    for text in configuration.server.listen:
        files = parse_descriptor(text).certificate
        if files is not None:
            yield Path(files.private_key)


def _secret(path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
    except OSError:
        # What is missing is told where it is needed.
        return
    if mode & 0o007:
        yield Finding("error", f"key {path}", "can be read by everybody on this machine", f"chmod 600 {path}")
    elif mode & 0o070:
        yield Finding("warning", f"key {path}", "can be read by its group", f"chmod 600 {path}")
    else:
        yield Finding("ok", f"key {path}", "is its owner's alone")


def _user() -> str:
    return f"user {os.getuid()}"


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


# -- limits of the system -----------------------------------------------------------------------


def limit_findings(configuration: Configuration, pid: int = 0) -> Iterator[Finding]:
    """Yield what is found about open files.

    :param pid: the process of the server, 0 if none runs: what this user would get then.
    """
    allowed, used = _open_files(pid)
    if allowed < 0:
        return
    connections = configuration.limits.max_connections
    subject = "open files"
    mend = "raise it (LimitNOFILE= of the unit, ulimit -n), or lower [limits] max_connections"
    if used and used > 0.8 * allowed:
        yield Finding("error", subject, f"{used} of {allowed} are in use", mend)
    elif allowed < connections + _OTHER_FILES:
        wrong = f"{allowed} are allowed, [limits] max_connections is {connections}"
        yield Finding("warning", subject, wrong, mend)
    else:
        yield Finding("ok", subject, f"{allowed} are allowed, {used} in use" if used else f"{allowed} are allowed")


def _open_files(pid: int) -> tuple[int, int]:
    """Return how many files a process may open, -1 if that is not known, and how many it has open, 0 likewise."""
    if not pid:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (1 << 30 if soft == resource.RLIM_INFINITY else soft), 0
    try:
        text = Path(f"/proc/{pid}/limits").read_text("ascii")
        line = next(line for line in text.splitlines() if line.startswith("Max open files"))
        word = line.split()[3]
        return (1 << 30 if word == "unlimited" else int(word)), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, StopIteration, ValueError):
        return -1, 0
