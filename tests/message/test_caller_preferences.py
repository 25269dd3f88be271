"""Accept-Contact, Reject-Contact and Request-Disposition (RFC 3841), and how features match (its section 8)."""

from __future__ import annotations

from fractions import Fraction

import pytest

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.caller_preferences import ContactPreference, RequestDisposition, agree
from twisted_sip.message.capabilities import Feature, features_of
from twisted_sip.message.grammar import parse_params


def contact(text: str) -> dict[str, Feature]:
    return features_of(parse_params(text))


def test_parts() -> None:
    found = ContactPreference.parse('*;audio;methods="INVITE,BYE";other=1;Require;explicit')
    assert set(found.features) == {"audio", "methods"} and found.require and found.explicit
    assert ContactPreference.parse("*") == ContactPreference({})
    assert str(ContactPreference.parse(" *;video;explicit")) == "*;video;explicit"
    made = ContactPreference.build([Feature.build("audio"), Feature.build("class", "business")], require=True)
    assert str(made) == '*;audio;class="business";require'
    with pytest.raises(LocalProtocolError):
        ContactPreference.build([Feature.build("audio"), Feature.build("audio")])


@pytest.mark.parametrize("text", ["sip:a@b", "*;audio;audio", '*;audio="<a"', "*;;", "audio"])
def test_malformed(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="Malformed Reject-Contact") as caught:
        ContactPreference.parse(text, "Reject-Contact")
    assert caught.value.header == "Reject-Contact"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("audio", "audio", True),
        ("audio", 'audio="FALSE"', False),
        ("audio", 'audio="true"', True),
        ('methods="INVITE"', 'methods="BYE,invite"', True),
        ('methods="INVITE"', 'methods="BYE"', False),
        ('events="!presence"', 'events="presence"', False),
        ('events="!presence"', 'events="reg"', True),
        ('events="presence"', 'events="!presence"', False),
        ('events="!presence"', 'events="!presence"', True),
        ('description="<PC>"', 'description="<PC>"', True),
        ('description="<PC>"', 'description="<pc>"', False),
        ('description="<PC>"', "description", False),
        ('priority="#>=3"', 'priority="#=5"', True),
        ('priority="#>=3"', 'priority="#<=2"', False),
        ('priority="#=3"', 'priority="#1:4"', True),
        ('priority="#=3.5"', 'priority="#=3.50"', True),
        ('priority="#=-3"', 'priority="#-4:+5.125"', True),
        ('priority="#<=-5"', 'priority="#-4:+5.125"', False),
        ('priority="#=3"', 'priority="high"', False),
        ('priority="!#1:4"', 'priority="#=3"', False),
        ('priority="!#1:4"', 'priority="#=5"', True),
        ('priority="#1:4"', 'priority="!#>=0"', False),
        ('priority="#1:4"', 'priority="!#<=4"', False),
        ('priority="#1:4"', 'priority="!#>=2"', True),
        (f'priority="#={"9" * 5000}"', 'priority="#=9"', False),
    ],
)
def test_features_agree(one: str, other: str, same: bool) -> None:
    """Section 8."""
    (first,), (second,) = contact(one).values(), contact(other).values()
    assert agree(first, second) is same


def test_scores() -> None:
    wanted = ContactPreference.parse('*;methods="BYE";class="business"')
    assert wanted.score(contact('methods="INVITE,BYE";audio')) == Fraction(1, 2)
    assert wanted.score({}) == 0
    assert ContactPreference.parse("*").score({}) == 1
    assert wanted.matches({}) and not wanted.matches(contact('methods="INVITE"'))


def test_directives() -> None:
    read = RequestDisposition.read([" Proxy", "no-fork", "redirect", "unheard-of", "no-fork", "sequential"])
    assert str(read) == "proxy, no-fork, sequential"
    assert "proxy" in read and "redirect" not in read
    assert repr(read) == "<RequestDisposition proxy, no-fork, sequential>"
    for wrong in (["walk"], ["fork", "no-fork"]):
        with pytest.raises(LocalProtocolError):
            RequestDisposition(wrong)
