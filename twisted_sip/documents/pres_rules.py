"""Presence authorisation rules: what a watcher may see of a presentity (RFC 5025 on top of RFC 4745)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from twisted_sip.documents import common_policy
from twisted_sip.documents.common_policy import Request, Rule, Ruleset
from twisted_sip.documents.permissions import (
    BOOLEAN_ATTRIBUTES,
    Permissions,
    Selection,
    SubHandling,
    UserInput,
    combine,
)
from twisted_sip.documents.xml import Element, know

MEDIA_TYPE = common_policy.MEDIA_TYPE
NAMESPACE = "urn:ietf:params:xml:ns:pres-rules"

# Whatever peers have sent before, these documents can be read.
know(
    NAMESPACE,
    "sub-handling",
    "provide-devices",
    "provide-persons",
    "provide-services",
    "all-devices",
    "all-persons",
    "all-services",
    "class",
    "occurrence-id",
    "deviceID",
    "service-uri",
    "service-uri-scheme",
    "provide-activities",
    "provide-class",
    "provide-deviceID",
    "provide-mood",
    "provide-note",
    "provide-place-is",
    "provide-place-type",
    "provide-privacy",
    "provide-relationship",
    "provide-sphere",
    "provide-status-icon",
    "provide-time-offset",
    "provide-user-input",
    "provide-unknown-attribute",
    "provide-all-attributes",
    "name",
    "ns",
)

_HANDLING = {
    "block": SubHandling.BLOCK,
    "confirm": SubHandling.CONFIRM,
    "polite-block": SubHandling.POLITE_BLOCK,
    "allow": SubHandling.ALLOW,
}
_USER_INPUT = {
    "false": UserInput.FALSE,
    "bare": UserInput.BARE,
    "thresholds": UserInput.THRESHOLDS,
    "full": UserInput.FULL,
}
#: The elements of a set permission -> the field of Selection (RFC 5025 section 3.3.1).
_MEMBERS = {
    "class": "classes",
    "occurrence-id": "occurrence_ids",
    "deviceID": "device_ids",
    "service-uri": "service_uris",
    "service-uri-scheme": "service_uri_schemes",
}


def parse(body: bytes) -> Ruleset:
    """Return the ruleset in *body*.

    :raises DocumentError: it is no XML, no ruleset, or beyond a limit.
    """
    return common_policy.parse(body)


def evaluate(
    ruleset: Ruleset | Iterable[Ruleset],
    watcher_uri: str,
    *,
    sphere: str | None,
    now: float,
    authenticated: bool,
    members: Callable[[str], Collection[str] | None] = lambda anchor: None,
) -> tuple[SubHandling, Permissions]:
    """Return what becomes of a subscription, and what the watcher may see.

    :param ruleset: the rules of the presentity; those of all its documents count (RFC 5025 section 9.7).
    :param watcher_uri: who watches.
    :param sphere: the sphere of the presentity, None while it is undefined (RFC 5025 section 3.1.2).
    :param now: seconds since the epoch.
    :param authenticated: whether the watcher has proved to be that (RFC 5025 section 3.1.1.1).
    :param members: gives the URIs in the list at an XCAP URI, for ``external-list`` conditions.
    :return: the handling is that of the permissions; without a rule that matches it is BLOCK.
    """
    rulesets = (ruleset,) if isinstance(ruleset, Ruleset) else tuple(ruleset)
    rules = Ruleset(tuple(rule for each in rulesets for rule in each.rules))
    request = Request(
        watcher=watcher_uri, authenticated=authenticated, sphere=sphere, now=now, members=members
    )  # fmt: skip
    permissions = combine(permissions_of(rule) for rule in rules.matching(request))
    return permissions.sub_handling, permissions


def permissions_of(rule: Rule) -> Permissions:
    """Return what *rule* grants where it matches; what is unknown or malformed grants nothing."""
    handling = SubHandling.BLOCK
    for action in rule.actions:
        if action.tag == f"{{{NAMESPACE}}}sub-handling":
            handling = max(handling, _HANDLING.get(_text(action), SubHandling.BLOCK))
    attributes: set[str] = set()
    unknown: set[tuple[str, str]] = set()
    sets = {"provide-devices": Selection(), "provide-persons": Selection(), "provide-services": Selection()}
    user_input = UserInput.FALSE
    everything = False
    prefix = f"{{{NAMESPACE}}}"
    for element in rule.transformations:
        tag = str(element.tag)
        if not tag.startswith(prefix):
            continue
        name = tag.removeprefix(prefix)
        attribute = name.removeprefix("provide-")
        if name in sets:
            sets[name] |= _selection(element, f"all-{attribute}")
        elif name == "provide-user-input":
            user_input = max(user_input, _USER_INPUT.get(_text(element), UserInput.FALSE))
        elif name == "provide-all-attributes":
            everything = True
        elif name == "provide-unknown-attribute":
            if _true(element) and element.get("name"):
                unknown.add((element.get("ns", ""), element.get("name", "")))
        elif attribute in BOOLEAN_ATTRIBUTES and name != attribute and _true(element):
            attributes.add(attribute)
    return Permissions(
        sub_handling=handling,
        devices=sets["provide-devices"],
        persons=sets["provide-persons"],
        services=sets["provide-services"],
        attributes=frozenset(attributes),
        user_input=user_input,
        unknown_attributes=frozenset(unknown),
        all_attributes=everything,
    )


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _true(element: Element) -> bool:
    return _text(element) in ("true", "1")


def _selection(element: Element, whole: str) -> Selection:
    found: dict[str, set[str]] = {field: set() for field in _MEMBERS.values()}
    everything = False
    for child in element.iterchildren("*"):
        tag = str(child.tag)
        name = tag.removeprefix(f"{{{NAMESPACE}}}")
        if name == whole:
            everything = True
        elif name in _MEMBERS and _text(child):
            found[_MEMBERS[name]].add(_text(child))
    return Selection(all=everything, **{field: frozenset(values) for field, values in found.items()})
