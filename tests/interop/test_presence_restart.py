"""kill -9 while many publish, watch and write: nothing that was acknowledged is missing after the next start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from baresip import Baresip
from conftest import PASSWORDS, presence_server
from library_user import LibraryUser
from linphonec import LinphoneConsole
from processes import wait_for
from server import Server
from sipp import SIPp, credentials

#: Publishers, as many watchers, and messages.
COUNT = 400
#: Of each, in a second.
RATE = 80
USERS = {f"u{number:03d}": f"secret{number}" for number in range(COUNT)}
#: They are away.
RECIPIENTS = {f"r{number}": f"hidden{number}" for number in range(10)}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = presence_server(tmp_path_factory.mktemp("loaded"), "sip-presence", pairs=3, transports=("udp",))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def stops() -> Iterator[list[Callable[[], None]]]:
    """Append to it what is to be called at the end."""
    made: list[Callable[[], None]] = []
    yield made
    for stop in made:
        stop()


def rows(columns: Callable[[int], tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return a row for each user: name, credentials, and what *columns* gives."""
    return [(user, credentials(user, password), *columns(n)) for n, (user, password) in enumerate(USERS.items())]


def test_a_kill_under_load(loaded: Server, tmp_path: Path, stops: list[Callable[[], None]]) -> None:
    loaded.import_users({**USERS, **RECIPIENTS})
    watched = [*USERS]
    kinds = {
        "publisher": rows(lambda n: ()),
        "watcher": rows(lambda n: (watched[n - 1],)),
        "writer": rows(lambda n: (f"r{n % len(RECIPIENTS)}", f"text {n}")),
    }
    sipps = {
        kind: SIPp(tmp_path, kind, loaded, calls=COUNT, rate=RATE, rows=table, patience=600)
        for kind, table in kinds.items()
    }
    stops += [each.stop for each in sipps.values()]
    for sipp in sipps.values():
        wait_for(lambda sipp=sipp: len(sipp.logged()) > COUNT / 4, sipp.why, 60)
    loaded.kill()
    sipps["publisher"].stop()
    sipps["writer"].stop()
    acknowledged = sipps["watcher"].logged()
    loaded.start()

    published = notes(sipps["publisher"].logged(), r"(\w+) has published (\d)")
    there = {row["aor"].removeprefix("sip:").partition("@")[0]: row for row in loaded.json("presence")}
    assert COUNT / 10 < len(published) < COUNT
    for user, number in published.items():
        # The one after it may have been kept when its answer was on the way.
        assert there[user]["note"] in (str(number), str(number + 1)), user

    watching = {found[1] for line in acknowledged if (found := re.match(r"(\w+) watches", line))}
    told_before = notes(acknowledged, r"(\w+) told (\d+)")
    assert COUNT / 10 < len(watching) < COUNT
    after = len(acknowledged)

    def told_since() -> dict[str, int]:
        return notes(sipps["watcher"].logged()[after:], r"(\w+) told (\d+)")

    wait_for(lambda: watching <= told_since().keys(), lambda: str(watching - told_since().keys()))
    latest = told_since()
    for user in watching:
        assert latest[user] > told_before.get(user, 0), user

    kept = {found[1] for line in sipps["writer"].logged() if (found := re.match(r"kept (text \d+)", line))}
    assert COUNT / 10 < len(kept) < COUNT
    reader = SIPp(tmp_path, "reader", loaded)
    stops.append(reader.stop)
    register = SIPp(
        tmp_path, "register", loaded, "-key", "uas", f"127.0.0.1:{reader.port}", calls=len(RECIPIENTS),
        rows=[(user, credentials(user, password)) for user, password in RECIPIENTS.items()],
    )  # fmt: skip
    stops.append(register.stop)
    assert register.finish() == (len(RECIPIENTS), 0), register.why()

    def got() -> list[str]:
        return [line.removeprefix("got ") for line in reader.logged()]

    wait_for(lambda: kept <= {*got()}, lambda: str(kept - {*got()}))
    assert len(got()) == len({*got()})
    assert len(got()) - len(kept) < RATE


def notes(lines: list[str], pattern: str) -> dict[str, int]:
    """Return the last number that *pattern* finds for each user."""
    return {found[1]: int(found[2]) for line in lines if (found := re.match(pattern, line))}


def test_a_watcher_of_the_library_goes_on(loaded: Server, tmp_path: Path, stops: list[Callable[[], None]]) -> None:
    bob = LinphoneConsole(tmp_path, "bob0", PASSWORDS["bob"], loaded.domain, loaded.uri(), peer="alice0", presence=True)
    stops.append(bob.stop)
    bob.registered()
    alice = LibraryUser(tmp_path, "alice0", PASSWORDS["alice"], loaded, "http://127.0.0.1:9/")
    stops.append(alice.stop)
    alice.watch(bob.aor)
    alice.wait(lambda heard: alice.of(bob.aor, "presence")[-1:] and heard[-1].get("basic") == "open")
    before = alice.of(bob.aor, "presence")
    loaded.kill()
    loaded.start()
    alice.wait(lambda heard: len(alice.of(bob.aor, "presence")) > len(before))
    told = alice.of(bob.aor, "presence")[len(before)]
    assert (told["state"], told["basic"]) == ("active", "open")
    assert told["cseq"] > before[-1]["cseq"]
    alice.unwatch(bob.aor)
    over = alice.wait(lambda heard: [each for each in heard if "over" in each])
    assert over[0]["status"] == 0
    assert loaded.json("watchers", bob.aor) == []


@pytest.mark.parametrize(("make", "number"), [(Baresip, 1), (LinphoneConsole, 2)])
def test_phones_go_on(
    loaded: Server, tmp_path: Path, stops: list[Callable[[], None]], make: type[Baresip | LinphoneConsole], number: int
) -> None:
    phones = []
    for user, peer in ((f"alice{number}", f"bob{number}"), (f"bob{number}", f"alice{number}")):
        phone = make(tmp_path, user, PASSWORDS[user[:-1]], loaded.domain, loaded.uri(), peer=peer, presence=True)
        stops.append(phone.stop)
        phone.registered()
        phones.append(phone)
    alice, bob = phones
    alice.wait_to_see("Online")
    bob.wait_to_see("Online")
    loaded.kill()
    loaded.start()
    if isinstance(bob, Baresip):
        # The entity-tag and the subscription are still good.
        bob.do("presence_offline")
        alice.wait_to_see("Offline")
        assert not re.search(r"^SIP/2.0 (412|481|489|5\d\d)", bob.program.text, re.MULTILINE)
        bob.do("presence_online")
        alice.wait_to_see("Online")
    else:
        bob.stop()
        alice.wait_to_see("Offline")
        assert "412 Conditional" not in bob.text
