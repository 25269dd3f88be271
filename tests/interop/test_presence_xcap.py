"""One phone watches, another publishes, and the user of that one decides by XCAP what the first one sees.

She is told of watchers (RFC 3857).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from baresip import Baresip
from conftest import PASSWORDS, Pair, presence_server
from library_user import LibraryUser
from linphonec import LinphoneConsole
from processes import free_port
from server import Server

RULES = """\
<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
<rule id="a"><conditions><identity><one id="{watcher}"/></identity></conditions>
<actions><pr:sub-handling>{handling}</pr:sub-handling></actions>
<transformations><pr:provide-services><pr:all-services/></pr:provide-services>
<pr:provide-persons><pr:all-persons/></pr:provide-persons><pr:provide-all-attributes/></transformations></rule>
</ruleset>
"""

Phone = Baresip | LinphoneConsole


class Scene:
    """Alice and bob at a server with XCAP.

    :param root: where her documents are.
    """

    def __init__(self, directory: Path, server: Server, pair: Pair, root: str) -> None:
        self.directory = directory
        self.server = server
        self.alice, self.bob = (f"sip:{user}@{server.domain}" for user in pair)
        self._pair = pair
        self._stops: list[Callable[[], None]] = []
        self.user = LibraryUser(directory, pair[0], PASSWORDS["alice"], server, root)
        self._stops.append(self.user.stop)

    def phone(self, make: type[Phone], name: str) -> Any:
        """Start the phone of *name*."""
        user, peer = self._pair if name == "alice" else self._pair[::-1]
        made = make(
            self.directory, user, PASSWORDS[name], self.server.domain, self.server.uri(), peer=peer, presence=True
        )
        self._stops.append(made.stop)
        made.registered()
        return made

    def rule(self, handling: str) -> None:
        """Alice keeps a document that says what becomes of bob."""
        done = self.user.put(
            "pres-rules", "application/auth-policy+xml", RULES.format(watcher=self.bob, handling=handling)
        )
        assert done.get("etag"), done

    def told(self, status: str, event: str) -> None:
        """Wait until alice has been told that bob is in this state, as the last thing about him."""

        def last(heard: object) -> bool:
            found = [each for told in self.user.of(self.alice, "presence.winfo") for each in told.get("watchers", ())]
            about = [each for each in found if each[0] == self.bob]
            return bool(about) and about[-1][1:] == [status, event]

        self.user.wait(last)

    def stop(self) -> None:
        for stop in reversed(self._stops):
            stop()


@pytest.fixture(scope="module")
def web() -> dict[str, int]:
    return {"http": free_port(), "https": free_port()}


@pytest.fixture(scope="module")
def ruled(web: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = presence_server(
        tmp_path_factory.mktemp("ruled"),
        "sip-presence",
        *("--xcap", f"tcp:{web['http']}:interface=127.0.0.1", "--xcap", f"tls:{web['https']}:interface=127.0.0.1"),
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    ruled: Server,
    web: dict[str, int],
    pair: Callable[[], Pair],
    tmp_path: Path,
) -> Iterator[Scene]:
    root = f"{request.param}://127.0.0.1:{web[request.param]}/xcap-root"
    made = Scene(tmp_path, ruled, pair(), root)
    yield made
    made.stop()


@pytest.mark.parametrize("scene", ["http", "https"], indirect=True)
def test_polite_block_and_block(scene: Scene) -> None:
    bob = scene.phone(Baresip, "bob")
    scene.phone(LinphoneConsole, "alice")
    bob.wait_to_see("Online")
    scene.user.watch(scene.alice, "presence.winfo")
    scene.told("active", "subscribe")
    scene.rule("polite-block")
    bob.wait_to_see("Offline")
    assert scene.server.json("presence", scene.alice)["basic"] == "open"
    scene.rule("allow")
    bob.wait_to_see("Online")
    scene.rule("block")
    bob.program.wait_for("presence: subscriber closed .*: rejected")
    scene.told("terminated", "rejected")
    assert [each["watcher"] for each in scene.server.json("watchers", scene.alice)] == [scene.alice]


@pytest.mark.parametrize(("scene", "make"), [("http", LinphoneConsole), ("https", Baresip)], indirect=["scene"])
def test_confirm(scene: Scene, make: type[Phone]) -> None:
    scene.rule("confirm")
    scene.phone(LinphoneConsole, "alice")
    scene.user.watch(scene.alice, "presence.winfo")
    bob = scene.phone(make, "bob")
    # News of watchers come five seconds apart (RFC 3857 section 4.10).
    scene.told("pending", "subscribe")
    assert bob.sees() != "Online"
    scene.rule("allow")
    scene.told("active", "approved")
    bob.wait_to_see("Online")
