"""Which contacts a caller prefers, and what the caller wishes servers to do (RFC 3841, capabilities by RFC 3840).

Section 7.2: explicit preferences are Accept-Contact and Reject-Contact. Where there are none, and several contacts, the
method and the event package are implicit ones (section 7.2.2): they leave out devices that say they cannot, unless that
would leave nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.interfaces.routing import Target
from twisted_sip.message.caller_preferences import ContactPreference, Features, RequestDisposition
from twisted_sip.message.capabilities import Feature, features_of
from twisted_sip.message.grammar import parse_params
from twisted_sip.message.request import Request
from twisted_sip.message.uri import URI

#: The header fields that this is about.
FIELDS = frozenset(("accept-contact", "reject-contact", "request-disposition"))

#: What is immune to preferences is on a par with the best (section 7.2.4).
_BEST = Fraction(1)

#: Each value that is asked for is compared with each of a contact. Strangers write the ones, users the others: nobody
#: may keep us busy so. The characters of both header fields, the values in both, those of one feature of a contact.
_MOST_CHARS, _MOST_ASKED, _MOST_TOLD = 8192, 256, 64


@lru_cache(maxsize=1024)
def _features(params: str) -> Features:
    """Return the features in the Contact parameters *params*; none where they cannot be read."""
    try:
        found = features_of(parse_params(params))
    except RemoteProtocolError:
        return {}
    return found if all(len(feature.values) <= _MOST_TOLD for feature in found.values()) else {}


def features_of_target(target: Target) -> Features:
    """Return what the device at *target* has said that it can; nothing is known of what is no contact of a user."""
    binding = target.binding
    return {} if binding is None or not binding.params else _features(binding.params)


def disposition_of(incoming: IncomingRequest, is_local_uri: Callable[[URI], bool]) -> RequestDisposition | None:
    """Return what the sender of *incoming* wishes us to do with a request for one of our users, None where nothing is
    said (sections 7.1 and 9.1)."""
    request = incoming.request
    if "request-disposition" not in request.headers.names or not is_local_uri(request.uri):
        return None
    found = RequestDisposition.read(request.headers.elements("request-disposition"))
    incoming.note("preferences", "the caller wishes: {0}", "", str(found))
    return found


def preferred(incoming: IncomingRequest, targets: Sequence[Target]) -> Sequence[Target]:
    """Return those of *targets* that the sender of *incoming* prefers, best first by their q; the same ones where there
    is no preference.

    :raises RemoteProtocolError: Accept-Contact or Reject-Contact is malformed, or asks for more than anybody needs.
    """
    request = incoming.request
    names = request.headers.names
    if "accept-contact" in names or "reject-contact" in names:
        accepted, rejected = _explicit(request)
        found = _scored(targets, accepted, rejected)
        if len(found) < len(targets):
            incoming.note("preferences", "the caller wants {0} of {1} contacts", "", str(len(found)), str(len(targets)))
        return _ranked(found)
    if len(targets) < 2 or not any(_tells(target) for target in targets):
        return targets
    kept = [target for target, _ in _scored(targets, [_implicit(request)], [])]
    if not kept or len(kept) == len(targets):
        return targets
    incoming.note("preferences", "{0} of {1} contacts can " + request.method, "", str(len(kept)), str(len(targets)))
    return kept


def _explicit(request: Request) -> tuple[list[ContactPreference], list[ContactPreference]]:
    """Return what Accept-Contact and Reject-Contact say.

    :raises RemoteProtocolError: one is malformed, or they ask for too much.
    """
    headers = request.headers
    texts = [*headers.all("accept-contact"), *headers.all("reject-contact")]
    if sum(map(len, texts)) <= _MOST_CHARS:
        accepted: list[ContactPreference] = request.typed("accept-contact")
        rejected: list[ContactPreference] = request.typed("reject-contact")
        asked = sum(1 + sum(len(each.values) for each in one.features.values()) for one in (*accepted, *rejected))
        if asked <= _MOST_ASKED:
            return accepted, rejected
    raise RemoteProtocolError("Too Many Caller Preferences", header="accept-contact")


def _tells(target: Target) -> bool:
    """Tell whether the device at *target* has said what implicit preferences are about."""
    binding = target.binding
    if binding is None or not binding.params:
        return False
    known = _features(binding.params)
    return "methods" in known or "events" in known


def _implicit(request: Request) -> ContactPreference:
    """Return the preference that a request has by what it is (section 7.2.2)."""
    features = {"methods": Feature("methods", (request.method,))}
    if request.method in ("SUBSCRIBE", "REFER"):
        event = request.headers.first("event")
        if event:
            features["events"] = Feature("events", (event.partition(";")[0].strip(" \t"),))
    return ContactPreference(features, require=True)


def _scored(
    targets: Sequence[Target], accepted: Sequence[ContactPreference], rejected: Sequence[ContactPreference]
) -> list[tuple[Target, Fraction]]:
    """Return the targets that are left, each with how much the caller prefers it (section 7.2.4)."""
    found: list[tuple[Target, Fraction]] = []
    for target in targets:
        features = features_of_target(target)
        if not features:
            # Immune (section 7.2.3).
            found.append((target, _BEST))
            continue
        if any(each.features.keys() <= features.keys() and each.matches(features) for each in rejected):
            continue
        score = _preference(features, accepted)
        if score is not None:
            found.append((target, score))
    return found


def _preference(features: Features, accepted: Sequence[ContactPreference]) -> Fraction | None:
    """Return Qa of a contact with *features*, None for one that is left out."""
    scores: list[Fraction] = []
    for each in accepted:
        if not each.matches(features):
            if each.require:
                return None
            continue
        score = each.score(features)
        if each.explicit and score < 1:
            if each.require:
                return None
            score = Fraction(0)
        scores.append(score)
    if not accepted:
        return _BEST
    return sum(scores, Fraction(0)) / len(scores) if scores else Fraction(0)


def _ranked(found: Sequence[tuple[Target, Fraction]]) -> list[Target]:
    """Return targets with a q that orders them as their own q does, and by preference among equals."""
    ranks = sorted({(target.q, score) for target, score in found})
    ordered = [attrs.evolve(target, q=ranks.index((target.q, score))) for target, score in found]
    return sorted(ordered, key=lambda target: -target.q)
