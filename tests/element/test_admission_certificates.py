"""Senders known by their certificates, and senders who register for others (RFC 5922 section 7.4, RFC 3261 10.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.element.test_admission import ANONYMOUS, ELSEWHERE, FOREIGN, World, message
from twisted_sip.element.admission import AdmissionProcessor
from twisted_sip.registrar.settings import ThirdParty
from twisted_sip.transport.client_identity import NOTHING, Proved

ALICE = Proved(("sip:alice@example.com",))
DOMAIN = Proved((), ("example.com",))


class Certified(World):
    """A server that asks for certificates; *proved* and *identities* are what the client has shown."""

    def __init__(
        self, proved: Any = NOTHING, identities: tuple[str, ...] = (), link: Any = AdmissionProcessor, **settings: Any
    ) -> None:
        super().__init__(link, **settings)
        self.link.certificates = True
        self.proved, self.identities = proved, identities

    def incoming(self, *what: Any) -> Any:
        made = super().incoming(*what)
        made.flow.proved, made.flow.identities = self.proved, self.identities
        return made


@pytest.mark.parametrize("proved", [ALICE, DOMAIN])
@pytest.mark.parametrize("uri", ["sip:bob@example.com", ELSEWHERE])
def test_a_certificate_is_as_good_as_a_password(proved: Any, uri: str) -> None:
    incoming = Certified(proved).run(message(uri=uri))
    assert (incoming.admitted, incoming.user, incoming.status) == (True, "sip:alice@example.com", None)
    assert ("admission", "{0} has proved to be the sender", "tls.client_certificates", incoming.user) in incoming.notes


def test_for_a_registration_too() -> None:
    asked = message("REGISTER", "sip:example.com", to="<sip:alice@example.com>")
    assert Certified(ALICE).run(asked).user == "sip:alice@example.com"
    assert Certified(ALICE).run(message("REGISTER", "sip:example.com", to="<sip:bob@example.com>")).status == 401


def test_it_is_good_for_its_owner_alone() -> None:
    world = Certified(ALICE)
    incoming = world.run(message(from_="<sip:bob@example.com>;tag=f"))
    assert (incoming.admitted, incoming.status) == (False, 407)
    assert world.signed(message(from_="<sip:bob@example.com>;tag=f"), "bob").user == "sip:bob@example.com"
    assert Certified(DOMAIN).run(message(from_="<sip:alice@example.org>;tag=f")).status == 407


@pytest.mark.parametrize("world", [Certified(), Certified(None)])
def test_without_one_credentials_are_asked_for(world: Any) -> None:
    assert world.run(message()).status == 407


def test_where_none_is_asked_for_none_counts() -> None:
    world = Certified(ALICE)
    world.link.certificates = False
    assert world.run(message()).status == 407


def test_an_anonymous_caller_is_who_the_certificate_says() -> None:
    asked = message(uri=ELSEWHERE, from_=ANONYMOUS)
    world = Certified(Proved(("sip:alice@example.org", "sip:bob@example.com")))
    world.link.domain = "example.com"
    assert world.run(asked).user == "sip:bob@example.com"
    other = Certified(DOMAIN)
    other.link.domain = "example.com"
    assert other.run(asked).status == 407, "which of them, nobody knows"


def test_credentials_for_us_do_not_go_on() -> None:
    world = World()
    first = world.run(message())
    from twisted_sip.auth.client import DigestClient
    from twisted_sip.message.response import Response

    signed = DigestClient("alice", "secret", realms=("*",)).authorize(
        message(), Response(407, headers=first.answers[0][2])
    )
    assert signed is not None
    Certified(ALICE).run(signed)
    assert "proxy-authorization" not in signed.headers.names


def test_routes_are_followed_as_others_may() -> None:
    class Narrow(AdmissionProcessor):
        def may_follow_route(self, incoming: Any) -> bool:
            return False

    asked = message(fields=[("Route", "<sip:next.example.net;lr>")])
    assert Certified(ALICE).run(asked).admitted
    assert Certified(ALICE, link=Narrow).run(asked).status == 407


# -- servers of other domains ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proved", "identities", "admitted"),
    [
        (NOTHING, ("example.net",), True),
        (Proved((), ("example.net",)), (), True),
        (NOTHING, ("peer.example.net", "example.org"), False),
        (None, (), False),
    ],
)
def test_a_peer_comes_in_where_strangers_do_not(proved: Any, identities: Any, admitted: bool) -> None:
    world = Certified(proved, identities, foreign_callers=False)
    incoming = world.run(message(from_=FOREIGN))
    assert (incoming.admitted, incoming.user) == (admitted, ""), "it is none of our users"
    assert world.run(message(from_=FOREIGN, uri=ELSEWHERE)).status == 403, "and may not call through us"
    assert world.run(message(from_="<tel:+15550100>;tag=f")).status == 403


def test_a_domain_of_ours_is_not_proved_by_the_certificate_alone() -> None:
    """The operator has to say so: a certificate for our domain is in the hands of whoever runs its web site."""
    assert Certified(NOTHING, ("example.com",)).run(message()).status == 407


# -- registration for others ----------------------------------------------------------------------


RULE = ThirdParty(registrants=("sip:bob@example.com",), users=("sip:alice@example.com",))


def third(to: str = "sip:alice@example.com", from_: str = "sip:bob@example.com") -> Any:
    return message("REGISTER", "sip:example.com", from_=f"<{from_}>;tag=f", to=f"<{to}>")


def test_nobody_registers_others() -> None:
    world = World()
    assert world.signed(third(), "bob").status == 403
    assert world.signed(third(), "alice").user == "sip:alice@example.com", "it is she who asks"


def test_who_may_proves_who_it_is() -> None:
    world = World()
    world.link.third_party = (RULE,)
    incoming = world.signed(third(), "bob")
    assert (incoming.admitted, incoming.user) == (True, "sip:bob@example.com")
    assert world.signed(third(), "alice").status == 403, "bob is the one who asks"
    assert world.signed(third(to="sip:bob@example.com", from_="sip:alice@example.com"), "alice").status == 403
    assert world.signed(third(from_="sip:alice@example.com"), "alice").user == "sip:alice@example.com"
    assert world.run(third(from_="tel:+15550100")).status == 401


def test_a_third_party_may_have_a_certificate() -> None:
    world = Certified(Proved(("sip:bob@example.com",)))
    world.link.third_party = (RULE,)
    assert world.run(third()).user == "sip:bob@example.com"
