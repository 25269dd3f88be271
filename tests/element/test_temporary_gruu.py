"""Temporary GRUUs and PURRs: nothing can be seen in them, nothing be made of them (RFC 5627, RFC 8599)."""

from __future__ import annotations

import attrs
import pytest

from twisted_sip.element.temporary_gruu import TemporaryGRUUs
from twisted_sip.interfaces.location import Binding
from twisted_sip.message.uri import SIPURI

KEY = b"k" * 32
BINDING = Binding(
    aor="sip:alice@example.com",
    key="<urn:uuid:1>|0",
    contact="sip:alice@192.0.2.7",
    call_id="c",
    cseq=3,
    expires_at=9e9,
    instance="<urn:uuid:1>",
    series="3.0123456789abcdef",
    push="apns team.app.voip 00fc13",
)


def make(key: bytes = KEY) -> TemporaryGRUUs:
    return TemporaryGRUUs(key)


@pytest.mark.parametrize("aor", ["sip:alice@example.com", "sip:a%40b@example.com", "sip:bo\udcffb@[2001:db8::1]"])
def test_they_are_read_again_after_a_restart(aor: str) -> None:
    binding = attrs.evolve(BINDING, aor=aor)
    uri = SIPURI.parse(make().make(binding))
    assert uri.params.get("gr", "there") is None
    meant = make().read(uri)
    assert meant is not None and meant[0] == aor
    assert TemporaryGRUUs.belongs(binding, meant[1])
    assert not TemporaryGRUUs.belongs(attrs.evolve(binding, series="4.fedcba9876543210"), meant[1])
    assert not TemporaryGRUUs.belongs(attrs.evolve(binding, series=""), meant[1])


def test_two_of_them_have_nothing_in_common() -> None:
    """Section 5.1: nobody finds out whether two are of one device; nor does the length of the name show."""
    gruus = make()
    made = {gruus.make(BINDING) for _ in range(200)}
    assert len(made) == 200
    users = [SIPURI.parse(each).user or "" for each in made]
    for place in range(len("tgruu."), len(users[0]) - 1):
        assert len({user[place] for user in users}) > 8
    other = gruus.make(attrs.evolve(BINDING, aor="sip:bo@example.com", series="9.fedcba9876543210"))
    assert len(other) == len(next(iter(made)))
    assert "alice" not in "".join(made)


def test_sips_for_a_sips_contact() -> None:
    assert make().make(attrs.evolve(BINDING, contact="sips:alice@192.0.2.7")).startswith("sips:tgruu.")


def test_what_was_changed_is_none() -> None:
    gruus = make()
    text = gruus.make(BINDING)
    user = text[4:].partition("@")[0]
    assert gruus.read(SIPURI.parse(text)) is not None
    for wrong in (
        text.replace("example.com", "example.net"),
        text.replace(user, user[:-4] + "AAAA"),
        text.replace(user, user[:8]),
        text.replace(user, "tgruu."),
        text.replace(user, "tgruu." + "A" * 4000),
        text.replace(user, "tgruu.%C3%A4"),
        text.replace(user, "alice"),
        text + "=urn:uuid:1",
    ):
        assert gruus.read(SIPURI.parse(wrong)) is None, wrong
    assert make(b"other").read(SIPURI.parse(text)) is None


def test_a_purr_names_the_device() -> None:
    gruus = make()
    one, other = gruus.make_purr(BINDING), gruus.make_purr(BINDING)
    assert one != other and "alice" not in one
    meant = make().read_purr(one)
    assert meant is not None and meant[0] == BINDING.aor
    elsewhere = attrs.evolve(BINDING, push="apns team.app.voip 99")
    assert gruus.of_purr([elsewhere, attrs.evolve(BINDING, push=""), BINDING], meant[1]) == [BINDING]
    assert gruus.read_purr("nonsense") is None
    # Neither passes for the other.
    user = SIPURI.parse(gruus.make(BINDING)).user or ""
    assert gruus.read_purr(user.removeprefix("tgruu.")) is None


def test_series_have_names_of_their_own() -> None:
    gruus = make()
    assert gruus.new_series(7).startswith("7.")
    assert gruus.new_series(7) != gruus.new_series(7)
