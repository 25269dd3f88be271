"""What makes routes, gateways and all that goes with them usable, beyond what their single keys say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.call_policy import Hours
from twisted_sip.message.grammar import is_token
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.proxy.gateways.settings import Gateway
from twisted_sip.proxy.routes.conditions import Conditions
from twisted_sip.proxy.routes.e164 import NumberSettings, region_fault
from twisted_sip.proxy.routes.emergency import EmergencySettings
from twisted_sip.proxy.routes.enum_lookup import ENUMSettings
from twisted_sip.proxy.routes.rewriting import FIELDS, Template, user_text
from twisted_sip.proxy.routes.ways import LEAST_COST, step_of
from twisted_sip.proxy.static_routes import StaticRoute
from twisted_sip.tap.constraints import quoted
from twisted_sip.tap.faults import WrongSetting, WrongSettings, did_you_mean
from twisted_sip.tap.hosts import is_host
from twisted_sip.tap.structuring import Checks
from twisted_sip.transport.resolver_selection import numeric_host

if TYPE_CHECKING:
    from twisted_sip.tap.configuration import Configuration

_GROUP = re.compile(r"[\w.-]+").fullmatch
_NUMBER = re.compile(r"\+?[0-9*#]+").fullmatch
#: What a group of a pattern may stand for, to see whether what is made of it can be used.
_SAMPLE = "1"


def check_route(route: StaticRoute) -> None:
    """Refuse a route that leads nowhere, to two places, or to what is no place; and patterns that are none.

    :raises WrongSettings: naming the keys.
    """
    _refuse(_route_faults(route))


def _refuse(faults: Iterator[WrongSetting]) -> None:
    found = list(faults)
    if found:
        raise WrongSettings(found)


def _route_faults(route: StaticRoute) -> Iterator[WrongSetting]:
    if route.to and route.status:
        yield WrongSetting("has both to and status", "write one of them")
    if not route.to and not route.status:
        yield WrongSetting("leads nowhere", "write to (a SIP URI or several) or status")
    if route.status and not 300 <= route.status <= 699:
        yield WrongSetting(
            f"{route.status} is not a final failure or redirection", "write a status from 300 to 699", "status"
        )
    conditions = list(_condition_faults(route))
    yield from conditions
    if not conditions:
        yield from _target_faults(route)


def _condition_faults(route: StaticRoute) -> Iterator[WrongSetting]:
    if route.user_matches:
        try:
            re.compile(route.user_matches)
        except (re.error, RecursionError) as error:
            yield WrongSetting(
                f"{quoted(route.user_matches)} is not a regular expression ({error})", "correct it", "user_matches"
            )
    for key in ("method", "user", "host", "caller"):
        yield from _pattern_fault(getattr(route, key), key)
    for name, pattern in route.headers.items():
        if not is_token(name):
            yield WrongSetting(f"{quoted(name)} is not the name of a header field", "write one like Subject", "headers")
        yield from _pattern_fault(pattern, f"headers.{name}")
    for place, text in enumerate(route.hours):
        try:
            Hours.parse(text)
        except LocalProtocolError as error:
            wrong, _, right = str(error).partition(", write ")
            yield WrongSetting(wrong, f"write {right or 'hours like mon-fri 09:00-17:00'}", f"hours[{place}]")
    try:
        ZoneInfo(route.time_zone)
    except (OSError, ValueError, KeyError):
        yield WrongSetting(f"{quoted(route.time_zone)} is no time zone", "write one like Europe/Berlin", "time_zone")


def _pattern_fault(pattern: str, key: str) -> Iterator[WrongSetting]:
    if not pattern:
        yield WrongSetting("is empty", "write * for everything", key)
        return
    try:
        Conditions.pattern(pattern)
    except re.error:
        yield WrongSetting(f"{quoted(pattern)} is not a pattern", "write one with *, ? and [...]", key)


def _target_faults(route: StaticRoute) -> Iterator[WrongSetting]:
    if route.rewrite and (route.strip or route.strip_prefix or route.add_prefix):
        yield WrongSetting("stands beside strip, strip_prefix or add_prefix", "write one or the other", "rewrite")
    values = dict.fromkeys((*FIELDS, *Conditions.groups_of(route)), _SAMPLE) | {"host": "host.example"}
    if route.rewrite:
        fault = _field_fault(route.rewrite, values)
        if fault:
            yield WrongSetting(*fault, "rewrite")
        elif user_text(Template(route.rewrite).user(values)) == "":
            yield WrongSetting("leaves nothing", "write digits or fields", "rewrite")
    for place, text in enumerate(route.to):
        fault = _field_fault(text, values) or _place_fault(text, values)
        if fault:
            yield WrongSetting(*fault, f"to[{place}]" if len(route.to) > 1 else "to")


def _field_fault(text: str, values: dict[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with the fields of a template, and what would be right."""
    for name in Template(text).fields:
        if name not in values:
            known = ", ".join(f"{{{each}}}" for each in values)
            return f"{{{name}}} in {quoted(text)} stands for nothing", f"write one of {known}"
    return None


def _place_fault(text: str, values: dict[str, str]) -> tuple[str, str] | None:
    """Return what is wrong with an entry of ``to``, and what would be right."""
    step = step_of(text)
    if step.kind != "uri":
        return None
    assert step.template is not None
    try:
        uri = step.template.uri(values)
    except RemoteProtocolError:
        uri = None
    if isinstance(uri, SIPURI):
        return None
    near = did_you_mean(text, (LEAST_COST, "enum")) if ":" not in text else ""
    if near:
        return f"{quoted(text)} is not a SIP URI{near}", ""
    return f"{quoted(text)} is not a SIP URI", "write sip:user@host or sip:host, gateway:GROUP, least-cost or enum"


def check_gateway(gateway: Gateway) -> None:
    """Refuse what is no gateway.

    :raises WrongSettings: naming the keys.
    """
    _refuse(_gateway_faults(gateway))


def _gateway_faults(gateway: Gateway) -> Iterator[WrongSetting]:
    if _GROUP(gateway.group) is None:
        yield WrongSetting(f"{quoted(gateway.group)} is no name", "write letters, digits, dots and dashes", "group")
    try:
        uri = parse_uri(gateway.uri)
    except RemoteProtocolError:
        uri = None
    if not isinstance(uri, SIPURI) or uri.headers:
        yield WrongSetting(f"{quoted(gateway.uri)} is not a SIP URI", "write one like sip:gw1.example.net", "uri")
    elif uri.user is not None:
        yield WrongSetting(f"{quoted(gateway.uri)} has a user part", "leave it out: requests bring their own", "uri")


def check_numbers(settings: NumberSettings) -> None:
    """Refuse a region that is none, or for which the library is missing.

    :raises WrongSetting: naming the key.
    """
    wrong, right = region_fault(settings.region) if settings.region else ("", "")
    if wrong:
        raise WrongSetting(wrong, right, "region")


def check_enum(settings: ENUMSettings) -> None:
    """Refuse suffixes that are no domains.

    :raises WrongSetting: naming the key.
    """
    for place, suffix in enumerate(settings.suffixes):
        if not is_host(suffix):
            raise WrongSetting(f"{quoted(suffix)} is not a domain", "write one like e164.arpa", f"suffixes[{place}]")
    if not settings.suffixes:
        raise WrongSetting("is empty", "write a domain like e164.arpa", "suffixes")


def check_emergency(settings: EmergencySettings) -> None:
    """Refuse numbers that nobody can dial, and places that are none.

    :raises WrongSettings: naming the keys.
    """
    _refuse(_emergency_faults(settings))


def _emergency_faults(settings: EmergencySettings) -> Iterator[WrongSetting]:
    for place, number in enumerate(settings.numbers):
        if _NUMBER(number) is None:
            yield WrongSetting(f"{quoted(number)} is not a number", "write digits, as 112", f"numbers[{place}]")
    if _NUMBER(settings.number) is None:
        yield WrongSetting(f"{quoted(settings.number)} is not a number", "write digits, as 112", "number")
    for place, text in enumerate(settings.to):
        values = {"user": _SAMPLE}
        fault = _field_fault(text, values)
        if fault is None and (step_of(text).kind not in ("uri", "gateway") or _place_fault(text, values)):
            fault = f"{quoted(text)} is not a SIP URI", "write sip:user@host or gateway:GROUP"
        if fault:
            yield WrongSetting(*fault, f"to[{place}]" if len(settings.to) > 1 else "to")


def check_routing(configuration: Configuration) -> None:
    """Refuse routes to what there is not, gateways that cannot be told apart, and a table of rates with faults.

    :raises WrongSettings: naming the keys.
    """
    _refuse(_routing_faults(configuration))


def _routing_faults(configuration: Configuration) -> Iterator[WrongSetting]:
    groups: dict[str, list[Gateway]] = {}
    seen: dict[tuple[str, str], int] = {}
    for place, gateway in enumerate(configuration.gateway):
        same = seen.setdefault((gateway.group, gateway.label), place)
        if same != place:
            yield WrongSetting(
                f"{quoted(gateway.label)} is the name of gateway[{same}] of this group too",
                "write another name",
                f"gateway[{place}].name",
            )
        if _is_unknown(gateway, configuration):
            yield WrongSetting(
                "its address is not known without probes",
                "write a probe_interval, or the address in uri",
                f"gateway[{place}].inbound",
            )
        if gateway.group not in groups:
            groups[gateway.group] = [one for one in configuration.gateway if one.group == gateway.group]
            if not any(one.weight for one in groups[gateway.group]):
                yield WrongSetting(
                    f"is 0 for every gateway of the group {gateway.group}",
                    "write 1 or more for one of them",
                    f"gateway[{place}].weight",
                )
    for number, route in enumerate(configuration.route):
        yield from _unknown_groups(route.to, f"route[{number}].to", groups)
        if LEAST_COST in route.to and configuration.least_cost.file is None:
            yield WrongSetting(
                "leads to the least-cost table, and there is none", "write least_cost.file", f"route[{number}].to"
            )
    yield from _unknown_groups(configuration.emergency.to, "emergency.to", groups)
    if configuration.least_cost.file is not None:
        for fault in configuration.least_cost.look(gateway_names(configuration)):
            yield WrongSetting(fault, key="least_cost.file")


def gateway_names(configuration: Configuration) -> frozenset[str]:
    """Return what the least-cost table may name: groups and gateways."""
    return frozenset([name for gateway in configuration.gateway for name in (gateway.group, gateway.label)])


def _is_unknown(gateway: Gateway, configuration: Configuration) -> bool:
    """Tell whether *gateway* ought to be let in, and nothing tells where it calls from."""
    given, usual = gateway.probe_interval, configuration.gateways.probe_interval
    uri = parse_uri(gateway.uri)
    return (
        gateway.inbound
        and not (usual if given is None else given)
        and isinstance(uri, SIPURI)
        and not numeric_host(uri.host)
    )


def _unknown_groups(to: Sequence[str], key: str, groups: dict[str, list[Gateway]]) -> Iterator[WrongSetting]:
    for place, text in enumerate(to):
        step = step_of(text)
        if step.kind != "gateway":
            continue
        here = f"{key}[{place}]" if len(to) > 1 else key
        if step.group not in groups:
            near = did_you_mean(step.group, groups)
            wrong = f"there is no gateway of the group {quoted(step.group)}{near}"
            yield WrongSetting(wrong, "" if near else f"write a [[gateway]] with group = {quoted(step.group)}", here)


#: Settings class -> what looks at a whole object of it.
ROUTING_CHECKS: Checks = {
    StaticRoute: check_route,
    Gateway: check_gateway,
    NumberSettings: check_numbers,
    ENUMSettings: check_enum,
    EmergencySettings: check_emergency,
}
