"""A device that publishes twice before it has heard of its first entity-tag, and a disk that fails for one of the two.

RFC 3903 section 6: what was answered 200 can be refreshed and withdrawn by its entity-tag.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.presence.test_publications import ALICE, ERROR, Table
from twisted_sip.errors import StoreFull


def publish(table: Table, body: bytes = b"open", replaces: Any = None, source: str = "phone") -> Any:
    made, committed = table.publications.publish(
        ALICE, "presence", content_type="a/b", body=body, expires=100, source=source, replaces=replaces
    )
    table.keep(committed)
    return made


def test_the_first_fails_and_the_second_is_stored() -> None:
    table = Table()
    publish(table)
    second = publish(table)
    table.store.write(ERROR)
    table.store.write()
    assert table.outcomes == ["failed", "ok"] and table.bodies() == [b"open"]
    assert table.tagged(second) is second and len(table.publications) == 1
    table.remove(second)
    table.store.write()
    table.check_empty()


@pytest.mark.parametrize("stored", [True, False])
def test_the_second_is_refused_while_the_first_is_on_its_way(stored: bool) -> None:
    table = Table()
    first = publish(table)
    second = publish(table)
    # The latest fails at once, as where too many changes wait for the disk.
    table.store.waiting.pop()[1].errback(StoreFull("too many changes wait"))
    assert table.tagged(first) is first and table.tagged(second) is None and len(table.publications) == 1
    table.store.write(None if stored else ERROR)
    assert table.outcomes == ["failed", "ok" if stored else "failed"]
    if stored:
        table.remove(first)
        table.store.write()
    table.check_empty()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_fails_nothing_is_left(seed: int) -> None:
    chance = Random(seed)
    table = Table()
    made: list[Any] = []
    for _ in range(60):
        doing = chance.random()
        known = [each for each in made if table.tagged(each) is not None]
        if doing < 0.5:
            made.append(publish(table, source=chance.choice(("phone", "pad"))))
        elif doing < 0.6 and known:
            made.append(publish(table, chance.choice((b"open", b"closed")), table.tagged(chance.choice(known))))
        elif doing < 0.9 and table.store.waiting:
            table.store.write(chance.choice((None, None, ERROR)))
        else:
            table.clock.advance(chance.choice((0.1, 1.0)))
    while table.store.waiting:
        table.store.write(chance.choice((None, ERROR)))
    assert len(table.publications) == len(table.bodies())
    for each in table.publications.of(ALICE, "presence"):
        assert any(tagged.key == each.key for tagged in table.publications._tags[(ALICE, "presence")].values())
    table.store.slow = False
    table.clock.advance(200.0)
    table.check_empty()
