"""The user agents that the tests of calls share: a line that echoes at the proxy, and one without an account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from server import Server
from user_agent import AnsweringPhone

SECRET = "who-are-you"
#: By the way to them: "direct" and "proxy".
Echo = dict[str, AnsweringPhone]


def echo_phones(server: Server, directory: Path) -> Iterator[Echo]:
    """Start both, sip:echo@sip.test and one without an account, and stop them at the end."""
    server.add_user("echo", SECRET)
    options = ["--register", "sip:echo@sip.test", "--proxy", server.uri(), "--password-stdin"]
    line = AnsweringPhone(directory, *options, "--answer", "echo", password=SECRET)
    alone = AnsweringPhone(directory, "--answer", "echo")
    line.registered()
    yield {"direct": alone, "proxy": line}
    line.stop()
    alone.stop()


def target(way: str, echo: Echo) -> str:
    """Return whom to call."""
    return echo["direct"].uri if way == "direct" else "sip:echo@sip.test"
