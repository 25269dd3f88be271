"""In which order targets are tried: groups of equal q, each after the other (RFC 3261 section 16.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from twisted_sip.interfaces.routing import Target
from twisted_sip.message.caller_preferences import RequestDisposition
from twisted_sip.message.limits import SHORT
from twisted_sip.message.request import Request
from twisted_sip.message.uri import parse_uri

#: Where a target is: what is called once only.
Place = tuple[str, object, tuple[str, ...]]
#: What targets share of which one at a time may be tried (RFC 5626 section 7).
Identity = tuple[str, str]


def as_written(request: Request) -> tuple[Target]:
    """Return the Request-URI as the target: for a *request* that goes where it says."""
    return _written(request.uri_text) if len(request.uri_text) <= SHORT else (Target(uri=request.uri),)


@lru_cache(maxsize=4096)
def _written(text: str) -> tuple[Target]:
    return (Target(uri=parse_uri(text)),)


def place_of(target: Target) -> Place:
    """Return where *target* is."""
    return str(target.uri), target.flow, target.path


def identity_of(target: Target) -> Identity:
    """Return which device *target* is, of the user it belongs to."""
    return target.aor, target.instance


def fork_of(setting: str, disposition: RequestDisposition | None) -> str:
    """Return how to fork: as *setting* says, or within that as the caller wishes (RFC 3841 section 9.1)."""
    if disposition is None or setting == "none":
        return setting
    if "no-fork" in disposition:
        return "none"
    if "sequential" in disposition:
        return "serial"
    return "all" if "parallel" in disposition and setting == "parallel" else setting


def grouped(
    targets: Sequence[Target],
    fork: str,
    most: int,
    alternatives: dict[Identity, list[Target]],
    tried: Iterable[Target] = (),
) -> list[list[Target]]:
    """Return *targets* in groups, best q first; those of one group are tried together.

    :param fork: ``parallel``, ``serial`` or ``none``, as in ProxySettings; ``all`` for one group whatever the q.
    :param most: the most targets.
    :param alternatives: is filled with the further flows of instances (RFC 5626 section 5.3).
    :param tried: targets that have had the request.
    """
    ordered: list[Target] = []
    known: set[Place] = set(map(place_of, tried))
    for target in sorted(targets, key=lambda target: -target.q)[:most]:
        place = place_of(target)
        if place in known and not target.flow_lost:
            # Section 16.5: no target twice.
            continue
        known.add(place)
        if target.instance:
            same = alternatives.get(identity_of(target))
            if same is not None:
                same.append(target)
                continue
            alternatives[identity_of(target)] = []
        ordered.append(target)
    if fork == "none":
        if ordered and ordered[0].failover is not None:
            # The gateways of a group are one place: to go on to the next is no forking.
            return [[target] for target in ordered if target.failover is not None]
        return [ordered[:1]] if ordered else []
    if fork == "serial":
        return [[target] for target in ordered]
    groups: list[list[Target]] = []
    for target in ordered:
        if groups and (fork == "all" or groups[-1][0].q == target.q):
            groups[-1].append(target)
        else:
            groups.append([target])
    return groups
