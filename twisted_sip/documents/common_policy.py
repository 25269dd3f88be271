"""Authorisation rules: who may, where and when (RFC 4745, application/auth-policy+xml).

A ruleset is read into rules, each with its conditions, and the elements of its actions and transformations as they
are: what they mean says the application (:mod:`twisted_sip.documents.pres_rules`). Only positive grants exist, so what
is not understood is left out: a condition that is not known is false (section 7), an unknown permission grants nothing.

Three conditions that OMA added in a namespace of their own, and that phones write, are known: ``other-identity`` (an
identity that no rule names), ``external-list`` (members of lists) and ``anonymous-request``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from urllib.parse import unquote

import attrs
import idna

from twisted_sip.documents.xml import Element, know, parse_xml
from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, URI, parse_uri

MEDIA_TYPE = "application/auth-policy+xml"
NAMESPACE = "urn:ietf:params:xml:ns:common-policy"
OMA_NAMESPACE = "urn:oma:xml:xdm:common-policy"

# Whatever peers have sent before, these documents can be read.
know(
    NAMESPACE,
    OMA_NAMESPACE,
    "ruleset",
    "rule",
    "id",
    "conditions",
    "identity",
    "one",
    "many",
    "except",
    "domain",
    "sphere",
    "value",
    "validity",
    "from",
    "until",
    "actions",
    "transformations",
    "other-identity",
    "external-list",
    "anonymous-request",
    "anc",
    "entry",
)

#: The most bytes and elements of a ruleset.
SIZE_LIMIT = 262_144
ELEMENT_LIMIT = 20_000


@attrs.frozen(slots=True, kw_only=True)
class Request:
    """What the conditions of a rule are held against.

    :ivar watcher: the URI of who asks, empty if nothing is known of it.
    :ivar authenticated: whether the watcher has proved to be that.
    :ivar sphere: the sphere of the presentity, None while it is undefined (RFC 5025 section 3.1.2).
    :ivar now: seconds since the epoch.
    :ivar named: whether any rule of the presentity names the watcher, for ``other-identity``.
    :ivar members: gives the URIs in the list that an ``external-list`` refers to, None if that cannot be had.
    """

    watcher: str = ""
    authenticated: bool = False
    sphere: str | None = None
    now: float = 0.0
    named: bool = False
    members: Callable[[str], Collection[str] | None] = lambda anchor: None


@attrs.frozen(slots=True)
class One:
    """Exactly one identity (section 7.2)."""

    id: str


@attrs.frozen(slots=True)
class Many:
    """All identities, or all of a domain, but the excepted ones (section 7.1.3)."""

    domain: str = ""
    except_ids: tuple[str, ...] = ()
    except_domains: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Identity:
    """Any of these; without a member nobody (section 7.1)."""

    members: tuple[One | Many, ...] = ()


@attrs.frozen(slots=True)
class Sphere:
    """The presentity is in one of these spheres (section 7.3)."""

    values: tuple[str, ...]


@attrs.frozen(slots=True)
class Validity:
    """It is within one of these times, seconds since the epoch (section 7.4)."""

    periods: tuple[tuple[float, float], ...]


@attrs.frozen(slots=True)
class OtherIdentity:
    """The watcher is authenticated, and no other rule names it."""


@attrs.frozen(slots=True)
class ExternalList:
    """The watcher is in one of these lists, which are XCAP URIs."""

    anchors: tuple[str, ...]


@attrs.frozen(slots=True)
class AnonymousRequest:
    """The watcher does not say who it is."""


@attrs.frozen(slots=True)
class Unknown:
    """A condition that is not known: false (section 7).

    :ivar name: its name as lxml writes it.
    """

    name: str


Condition = Identity | Sphere | Validity | OtherIdentity | ExternalList | AnonymousRequest | Unknown


@attrs.frozen(slots=True)
class Rule:
    """One rule (section 6).

    :ivar id: its identifier.
    :ivar conditions: all have to hold.
    :ivar actions: the children of <actions>.
    :ivar transformations: the children of <transformations>.
    """

    id: str
    conditions: tuple[Condition, ...] = ()
    actions: tuple[Element, ...] = ()
    transformations: tuple[Element, ...] = ()

    def matches(self, request: Request) -> bool:
        """Tell whether every condition holds (section 10.1); a rule without conditions matches everybody."""
        return all(holds(condition, request) for condition in self.conditions)

    def names(self, watcher: str, members: Callable[[str], Collection[str] | None]) -> bool:
        """Tell whether an identity condition of this rule is true of *watcher*, whatever its other conditions.

        Of a list that cannot be had it may be: who is not named must not be let in by mistake.
        """
        lists = [anchor for each in self.conditions if isinstance(each, ExternalList) for anchor in each.anchors]
        if any(members(anchor) is None for anchor in lists):
            return True
        request = Request(watcher=watcher, authenticated=True, members=members)
        return any(
            holds(condition, request) for condition in self.conditions if isinstance(condition, Identity | ExternalList)
        )


@attrs.frozen(slots=True)
class Ruleset:
    """Rules; their order does not matter."""

    rules: tuple[Rule, ...] = ()

    def matching(self, request: Request) -> list[Rule]:
        """Return the rules whose conditions hold (section 10.1)."""
        if any(isinstance(condition, OtherIdentity) for rule in self.rules for condition in rule.conditions):
            named = any(rule.names(request.watcher, request.members) for rule in self.rules)
            request = attrs.evolve(request, named=request.named or named)
        return [rule for rule in self.rules if rule.matches(request)]


# -- reading ---------------------------------------------------------------------


def parse(body: bytes) -> Ruleset:
    """Return the ruleset in *body*. What does not follow the schema is left out where it grants something.

    :raises DocumentError: it is no XML, no ruleset, or beyond a limit.
    """
    root = parse_xml(body, root=(NAMESPACE, "ruleset"), limit=SIZE_LIMIT, elements=ELEMENT_LIMIT)
    return Ruleset(tuple(_rule(element) for element in root.iterchildren(_name("rule"))))


def _name(local: str) -> str:
    return f"{{{NAMESPACE}}}{local}"


def _oma(local: str) -> str:
    return f"{{{OMA_NAMESPACE}}}{local}"


def _rule(element: Element) -> Rule:
    conditions: list[Condition] = []
    for part in element.iterchildren(_name("conditions")):
        conditions += [_condition(child) for child in part.iterchildren("*")]
    return Rule(
        element.get("id", ""),
        tuple(conditions),
        tuple(child for part in element.iterchildren(_name("actions")) for child in part.iterchildren("*")),
        tuple(child for part in element.iterchildren(_name("transformations")) for child in part.iterchildren("*")),
    )


def _condition(element: Element) -> Condition:
    tag = element.tag
    if tag == _name("identity"):
        return Identity(tuple(member for child in element.iterchildren("*") if (member := _member(child)) is not None))
    if tag == _name("sphere"):
        return Sphere(tuple(element.get("value", "").lower().split()))
    if tag == _name("validity"):
        return _validity(element)
    if tag == _oma("other-identity"):
        return OtherIdentity()
    if tag == _oma("anonymous-request"):
        return AnonymousRequest()
    if tag == _oma("external-list"):
        anchors = [child.get("anc") or child.get("anchor") for child in element.iterchildren("*")]
        return ExternalList(tuple(anchor for anchor in anchors if anchor))
    return Unknown(str(tag))


def _member(element: Element) -> One | Many | None:
    if element.tag == _name("one"):
        # Section 7.2: it has no domain, and what more it holds would narrow it in a way that is not known.
        if len(element) or not element.get("id"):
            return None
        return One(element.get("id", "").strip())
    if element.tag != _name("many"):
        return None
    ids: list[str] = []
    domains: list[str] = []
    for child in element.iterchildren("*"):
        if child.tag != _name("except"):
            # An exception that is not understood might be the watcher: better nobody than the wrong one.
            return None
        if child.get("id"):
            ids.append(child.get("id", "").strip())
        if child.get("domain"):
            domains.append(child.get("domain", ""))
    return Many(element.get("domain", ""), tuple(ids), tuple(domains))


def _validity(element: Element) -> Validity:
    periods: list[tuple[float, float]] = []
    start: float | None = None
    for child in element.iterchildren("*"):
        if child.tag == _name("from"):
            start = _seconds(child.text)
        elif child.tag == _name("until"):
            end = _seconds(child.text)
            if start is not None and end is not None:
                periods.append((start, end))
            start = None
    return Validity(tuple(periods))


def _seconds(text: str | None) -> float | None:
    """Return an XML dateTime as seconds since the epoch, None if it is none; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat((text or "").strip())
        if moment.tzinfo is None:
            moment = datetime.fromisoformat((text or "").strip() + "+00:00")
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


# -- judging ---------------------------------------------------------------------


def holds(condition: Condition, request: Request) -> bool:
    """Tell whether *condition* is true of *request* (section 7)."""
    match condition:
        case Identity(members):
            # Section 7.1.1: only authenticated entities can be matched.
            return request.authenticated and any(_matches(member, request.watcher) for member in members)
        case Sphere(values):
            return request.sphere is not None and request.sphere.lower() in values
        case Validity(periods):
            return any(start <= request.now < end for start, end in periods)
        case OtherIdentity():
            return request.authenticated and not request.named
        case AnonymousRequest():
            return not request.authenticated
        case ExternalList(anchors):
            return request.authenticated and any(_listed(request, anchor) for anchor in anchors)
        case Unknown():
            return False


def _matches(member: One | Many, watcher: str) -> bool:
    if isinstance(member, One):
        return same_entity(member.id, watcher)
    domain = domain_of(watcher)
    if member.domain and not same_domain(member.domain, domain):
        return False
    if any(same_entity(one, watcher) for one in member.except_ids):
        return False
    return not any(same_domain(one, domain) for one in member.except_domains)


def _listed(request: Request, anchor: str) -> bool:
    members = request.members(anchor)
    return members is not None and any(same_entity(one, request.watcher) for one in members)


def same_entity(one: str, other: str) -> bool:
    """Tell whether two URIs name one entity.

    SIP URIs do by their address-of-record. That a URI has another scheme makes it another entity (RFC 5025 section
    3.1.1.2), but for ``sips`` and ``pres``: users are known here by the ``sip`` form alone, and a rule that excepts one
    must not fail for its spelling.
    """
    first, second = _uri(one), _uri(other)
    if isinstance(first, SIPURI) and isinstance(second, SIPURI):
        return first.address_of_record == second.address_of_record
    if isinstance(first, SIPURI) or isinstance(second, SIPURI):
        return False
    return first is not None and second is not None and first.equivalent(second)


def _uri(text: str) -> SIPURI | URI | None:
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() == "pres":
        # RFC 3861: a presence URI of this domain is known here by the SIP URI of the same user.
        text = f"sip:{rest}"
    try:
        return parse_uri(text)
    except RemoteProtocolError:
        return None


def domain_of(uri: str) -> str:
    """Return the domain of a URI with a user and a host, empty where there is none."""
    parsed = _uri(uri)
    if isinstance(parsed, SIPURI):
        return parsed.host
    return uri.rpartition("@")[2] if "@" in uri else ""


def same_domain(one: str, other: str) -> bool:
    """Tell whether two domains are the same (section 7.1.3): escapes undone, ASCII form, label by label."""
    first, second = _ascii(one), _ascii(other)
    return bool(first) and first == second


def _ascii(domain: str) -> str:
    domain = unquote(domain).strip().rstrip(".").lower()
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        # Section 7.1.3: where the conversion fails, domains are not equal.
        return ""
