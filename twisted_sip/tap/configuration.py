"""The configuration: one immutable snapshot of every setting, and how it is read from a TOML file.

A file is read in one pass and all of its faults are reported together, each as
``file: key: what is wrong, what would be right``; array elements are counted from 0 (``route[2].to``).
"""

# ruff: noqa: RUF009  (a field, not a shared default)
from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import attrs

from twisted_sip.auth.settings import AuthSettings
from twisted_sip.console.settings import HEPSettings
from twisted_sip.element.limits import LimitSettings
from twisted_sip.errors import ConfigurationError
from twisted_sip.events.notifier_settings import NotifierSettings
from twisted_sip.media.settings import MediaSettings
from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.presence.lists.settings import ListSettings
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.proxy.gateways.settings import Gateway, GatewaysSettings
from twisted_sip.proxy.routes.e164 import NumberSettings
from twisted_sip.proxy.routes.emergency import EmergencySettings
from twisted_sip.proxy.routes.enum_lookup import ENUMSettings
from twisted_sip.proxy.routes.least_cost import LeastCostSettings
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.proxy.static_routes import StaticRoute
from twisted_sip.redirect.settings import RedirectSettings
from twisted_sip.registrar.settings import PushSettings, RegistrarSettings
from twisted_sip.tap.accounting_section import AccountingSection
from twisted_sip.tap.checks import CHECKS
from twisted_sip.tap.routing_checks import check_routing
from twisted_sip.tap.sections import (
    B2BUASection,
    LogSection,
    ServerSection,
    ServerTraceSection,
    StorageSection,
    TLSSection,
    XCAPSection,
)
from twisted_sip.tap.structuring import Checks, Kinds, structure
from twisted_sip.tap.watching_sections import MetricsSection
from twisted_sip.transport.settings import TransportSettings

T = TypeVar("T")

#: How deep tables and arrays may stand in each other; there is no key that wants as much.
_DEEPEST = 20

_AT_LINE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _section(cls: type[Any], meaning: str) -> Any:
    return attrs.field(factory=cls, metadata={"help": meaning})


@attrs.frozen(kw_only=True)
class Configuration:
    """Every setting of a server, as it stands at one moment."""

    server: ServerSection = _section(ServerSection, "Who we are and where we listen.")
    tls: TLSSection = _section(TLSSection, "Our certificate, and whom we believe.")
    transport: TransportSettings = _section(TransportSettings, "Sockets, connections and their limits.")
    auth: AuthSettings = _section(AuthSettings, "Who must prove who they are, and how.")
    registrar: RegistrarSettings = _section(RegistrarSettings, "Registrations.")
    push: PushSettings = _section(PushSettings, "Waking devices that sleep until a push notification comes (RFC 8599).")
    proxy: ProxySettings = _section(ProxySettings, "Forwarding.")
    route: tuple[StaticRoute, ...] = attrs.field(
        default=(), metadata={"help": "Static routes, asked before the registrations; the first that matches decides."}
    )
    gateway: tuple[Gateway, ...] = attrs.field(
        default=(), metadata={"help": 'Gateways, in groups: `to = "gateway:GROUP"` in a route leads to one of them.'}
    )
    gateways: GatewaysSettings = _section(GatewaysSettings, "How gateways are watched, and when the next one is tried.")
    least_cost: LeastCostSettings = _section(LeastCostSettings, 'The rates for `to = "least-cost"`.')
    enum: ENUMSettings = _section(ENUMSettings, 'Telephone numbers in the DNS, for `to = "enum"`.')
    numbers: NumberSettings = _section(NumberSettings, "How telephone numbers are dialled.")
    emergency: EmergencySettings = _section(EmergencySettings, "Calls for help.")
    redirect: RedirectSettings = _section(RedirectSettings, "Where `twistd sip-redirect` sends callers.")
    b2bua: B2BUASection = _section(B2BUASection, "Calls through `twistd sip-b2bua`.")
    accounting: AccountingSection = _section(AccountingSection, "The records of calls.")
    media: MediaSettings = _section(MediaSettings, "Media that `twistd sip-b2bua` relays or transcodes.")
    presence: PresenceSettings = _section(PresenceSettings, "Who sees whom, and what is published.")
    lists: ListSettings = _section(ListSettings, "Lists of buddies behind one URI, and lists in requests.")
    messaging: MessagingSettings = _section(MessagingSettings, "Instant messages, also for those who are away.")
    events: NotifierSettings = _section(NotifierSettings, "Subscriptions, and how they are told of news.")
    xcap: XCAPSection = _section(XCAPSection, "Where users keep buddy lists and presence rules.")
    limits: LimitSettings = _section(LimitSettings, "What one peer may ask of us.")
    storage: StorageSection = _section(StorageSection, "Where users and registrations are kept.")
    log: LogSection = _section(LogSection, "What is logged and how.")
    metrics: MetricsSection = _section(MetricsSection, "Numbers about the server for Prometheus.")
    hep: HEPSettings = _section(HEPSettings, "Copies of all messages for a capture server like Homer (HEPv3).")
    trace: ServerTraceSection = _section(
        ServerTraceSection, "The messages kept for `twisted-sip trace`, and the decisions for `twisted-sip explain`."
    )


#: What looks at the settings of a server.
_CHECKS: Checks = {**CHECKS, Configuration: check_routing}


def load(path: Path, base: Path | None = None) -> Configuration:
    """Read the configuration file of a server at *path*; relative paths in it count from its directory.

    :param base: the directory that a relative *path* counts from, the working directory if left out; paths in the file
        become absolute then.
    :raises ConfigurationError: with every fault of the file.
    """
    return load_as(Configuration, path, _CHECKS, base=base)


def load_as(cls: type[T], path: Path, checks: Checks, kinds: Kinds | None = None, base: Path | None = None) -> T:
    """Read the TOML file at *path* as a *cls*; relative paths in it count from its directory.

    :param checks: and *kinds*, as in structuring.
    :param base: as for :func:`load`.
    :raises ConfigurationError: with every fault of the file.
    """
    place = path if base is None else base / path
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError([f"{path}: cannot be read ({reason}), write the path of a TOML file"]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}: line {line}: is not UTF-8, save the file as UTF-8"]) from error
    return read_as(cls, text, str(path), place.parent, checks, kinds)


def read(text: str, name: str, base: Path) -> Configuration:
    """Make the configuration of a server of TOML *text*; see :func:`read_as`."""
    return read_as(Configuration, text, name, base, _CHECKS)


def read_as(cls: type[T], text: str, name: str, base: Path, checks: Checks, kinds: Kinds | None = None) -> T:
    """Make a *cls* of TOML *text*.

    :param name: what to call it in errors.
    :param base: the directory that relative paths count from.
    :raises ConfigurationError: with every fault of the text.
    """
    table: dict[str, Any] | None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{name}: {_syntax_error(str(error), text)}"]) from error
    except RecursionError:
        table = None
    except ValueError as error:
        # What Python makes of a number without an end.
        raise ConfigurationError([f"{name}: a number has thousands of digits, correct the TOML there"]) from error
    if table is None or _is_deeper(table, _DEEPEST):
        raise ConfigurationError([f"{name}: arrays or tables are nested too deep, correct the TOML there"])
    configuration, faults = structure(cls, table, base, checks, kinds)
    if configuration is None:
        raise ConfigurationError(_lines(name, faults))
    return configuration


def _is_deeper(value: Any, most: int) -> bool:
    """Tell whether tables and arrays stand in each other more than *most* deep."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _lines(name: str, faults: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}: {key}: {text}" for key, text in faults]


def _syntax_error(message: str, text: str) -> str:
    """Put the place first, as in the other errors, and say what to look at."""
    at = _AT_LINE.search(message)
    what = message[: at.start()] if at else message
    if at and at.group(1):
        line = int(at.group(1))
        return f"line {line}, column {at.group(2)}: {_lower(what)}, correct the TOML there"
    return f"line {text.count(chr(10)) + 1}: {_lower(what)}, the file ends too early"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def overridden(
    configuration: Configuration,
    *,
    domains: Iterable[str] = (),
    listen: Iterable[str] = (),
    advertise: str = "",
    state_dir: str = "",
    no_auth: bool = False,
    xcap: Iterable[str] = (),
    behind: str = "",
    base: Path | None = None,
) -> Configuration:
    """Return *configuration* with what the command line says in its place.

    :param xcap: listen descriptors, or ``off`` alone.
    :param behind: the outbound proxy of presence.
    :param base: the directory that relative paths count from, the working directory if left out.
    :raises ConfigurationError: naming the options at fault.
    """
    faults: list[str] = []
    shown = {"domains": "--domain", "state_dir": "--state-dir", "outbound_proxy": "--behind"}

    def changed(cls: type[Any], options: dict[str, str], **values: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in values.items():
            if not value:
                continue
            section, wrong = structure(cls, {key: value}, base or Path.cwd(), CHECKS)
            if section is None:
                faults.extend(f"command line: {options.get(key, f'--{key}')}: {text}" for _, text in wrong)
            else:
                found[key] = getattr(section, key)
        return found

    where = list(xcap)
    off = where == ["off"]
    server = changed(
        ServerSection, shown, domains=list(domains), listen=list(listen), advertise=advertise, state_dir=state_dir
    )
    web: dict[str, Any] = {"enabled": False} if off else changed(XCAPSection, {"listen": "--xcap"}, listen=where)
    presence = changed(PresenceSettings, shown, outbound_proxy=behind)
    if faults:
        raise ConfigurationError(faults)
    auth: dict[str, Any] = {"required": False} if no_auth else {}
    return attrs.evolve(
        configuration,
        server=attrs.evolve(configuration.server, **server),
        xcap=attrs.evolve(configuration.xcap, **({**web, "enabled": not off} if where else {})),
        presence=attrs.evolve(configuration.presence, **presence),
        auth=attrs.evolve(configuration.auth, **auth),
    )


def with_absolute_paths(configuration: Configuration, base: Path) -> Configuration:
    """Return *configuration* with the state directory made absolute: twistd may change the working directory.

    :param base: the directory that a relative one counts from.
    """
    server = attrs.evolve(configuration.server, state_dir=base / configuration.server.state_dir)
    return attrs.evolve(configuration, server=server)
