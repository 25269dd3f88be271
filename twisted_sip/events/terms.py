"""What a SUBSCRIBE changes of its subscription (RFC 6665 sections 4.1.2.2 and 4.2.1.4)."""

from __future__ import annotations

from typing import Any

from twisted_sip.events.hosted import HostedSubscription
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.events.rates import RateControl
from twisted_sip.events.subscribe_request import SubscribeRequest
from twisted_sip.interfaces.processing import IncomingRequest
from twisted_sip.message.gruu import instance_key
from twisted_sip.message.parameterized import parameter
from twisted_sip.message.request import Request

_TERMS = (
    "expires_at", "event_params", "accept", "supported", "body", "condition", "rates", "flow", "instance", "way",
    "authenticated",
)  # fmt: skip


def apply_terms(
    subscription: HostedSubscription,
    incoming: IncomingRequest,
    asked: SubscribeRequest,
    now: float,
    settings: NotifierSettings,
) -> None:
    """Put the terms of *asked*, which came as *incoming*, in place.

    What a refresh does not speak of stays: Accept and body.
    """
    subscription.expires_at = now + asked.expires
    subscription.event_params = asked.event_params
    subscription.supported = asked.supported
    if asked.accept is not None:
        subscription.accept = asked.accept
    if asked.body[1]:
        subscription.body = asked.body
    subscription.condition = asked.condition
    subscription.rates = None
    if asked.rates:
        subscription.rates = RateControl(asked.rates, now, remaining=float(asked.expires), most=settings.max_min_rate)
    subscription.authenticated = subscription.authenticated or bool(incoming.user)
    subscription.instance = _instance(incoming.request)
    # The watcher's own flow is the only way to it behind a NAT; a flow that leads to a proxy does not lead to it.
    direct = not subscription.dialog.route_set and came_directly(incoming.request)
    subscription.way = incoming.flow if direct else None
    subscription.flow = incoming.flow.token if direct else ""


def terms_of(subscription: HostedSubscription) -> tuple[list[Any], str]:
    """Return the terms of *subscription*, and its remote target, for :func:`restore_terms`."""
    return [getattr(subscription, name) for name in _TERMS], subscription.dialog.remote_target


def restore_terms(subscription: HostedSubscription, terms: tuple[list[Any], str]) -> None:
    """Put *terms* back in place: as if nothing had been asked for."""
    values, subscription.dialog.remote_target = terms
    for name, value in zip(_TERMS, values, strict=True):
        setattr(subscription, name, value)


def _instance(request: Request) -> str:
    """Return the instance of the device that sent *request* (RFC 5626 section 4.1), empty without one."""
    if not any("+sip.instance" in text.lower() for text in request.headers.all("contact")):
        return ""
    contacts = request.contacts
    return instance_key(parameter(contacts[0].params, "+sip.instance")) if contacts else ""


def came_directly(request: Request) -> bool:
    """Tell whether *request* came from its UAC without a proxy between: one Via, no Record-Route."""
    names = request.headers.names
    if names.count("via") != 1 or "record-route" in names:
        return False
    line = request.headers.lines[names.index("via")]
    return "," not in line or len(request.headers.elements("via")) == 1
