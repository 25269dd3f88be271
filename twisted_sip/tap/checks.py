"""What makes a whole section usable, beyond what its single keys say."""

from __future__ import annotations

import ipaddress

from twisted_sip.auth.settings import AuthSettings
from twisted_sip.b2bua.header_policy import HeaderPolicy
from twisted_sip.console.settings import HEPSettings
from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.interfaces.transport_kind import TCP, TLS
from twisted_sip.media.codecs.table import codec_kinds
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.grammar import is_token
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.messaging.settings import MessagingSettings
from twisted_sip.presence.settings import PresenceSettings
from twisted_sip.proxy.settings import ProxySettings
from twisted_sip.registrar.push_http import check_push_url
from twisted_sip.registrar.settings import PushSettings, RegistrarSettings
from twisted_sip.storage.credentials_http import check_credentials_url
from twisted_sip.tap.constraints import quoted
from twisted_sip.tap.faults import WrongSetting
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.routing_checks import ROUTING_CHECKS
from twisted_sip.tap.sections import B2BUASection, XCAPSection
from twisted_sip.tap.structuring import Checks
from twisted_sip.tap.watching_sections import MetricsSection, check_hep, check_metrics
from twisted_sip.transaction.timers import TimerValues
from twisted_sip.transport.descriptors import parse_descriptor


def check_proxy(settings: ProxySettings) -> None:
    """Refuse what is no network in the trust domain.

    :raises WrongSetting: naming the key.
    """
    for text in settings.trusted:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise WrongSetting(
                f'"{text}" is not a network', "write an address or a network like 192.0.2.0/24", "trusted"
            ) from error


def check_auth(settings: AuthSettings) -> None:
    """Refuse a service that credentials are not asked for at.

    :raises WrongSetting: naming the key.
    """
    if settings.credentials_url:
        try:
            check_credentials_url(settings.credentials_url)
        except LocalProtocolError as error:
            raise WrongSetting(str(error), "write an https URL", "credentials_url") from error


def check_registrar(settings: RegistrarSettings) -> None:
    """Refuse what cannot stand in a Service-Route (RFC 3608 section 5).

    :raises WrongSetting: naming the key.
    """
    for text in settings.service_route:
        try:
            uri = NameAddr.parse(text).uri if "<" in text else None
        except RemoteProtocolError:
            uri = None
        if not isinstance(uri, SIPURI):
            raise WrongSetting(
                f"{quoted(text)} is not a Service-Route", 'write one like "<sip:proxy.example.com;lr>"', "service_route"
            )


def check_push(settings: PushSettings) -> None:
    """Refuse a service that nobody can be asked to wake devices at.

    :raises WrongSetting: naming the key.
    """
    if settings.url:
        try:
            check_push_url(settings.url)
        except LocalProtocolError as error:
            raise WrongSetting(str(error), "write one like https://push.example.com/wake", "url") from error


def check_presence(settings: PresenceSettings) -> None:
    """Refuse a proxy that is no SIP URI.

    :raises WrongSetting: naming the key.
    """
    if settings.outbound_proxy:
        try:
            uri = parse_uri(settings.outbound_proxy)
        except RemoteProtocolError:
            uri = None
        if not isinstance(uri, SIPURI):
            raise WrongSetting(
                f"{quoted(settings.outbound_proxy)} is not a SIP URI",
                "write the proxy like sip:proxy.example.com",
                "outbound_proxy",
            )


def check_messaging(settings: MessagingSettings) -> None:
    """Refuse more patience than senders have (Timer F of RFC 3261 section 17.1.2.2), and tries that end before they
    begin.

    :raises WrongSetting: naming the key.
    """
    most = TimerValues().timeout
    if settings.answer_within >= most:
        raise WrongSetting(
            f"{quoted(settings.answer_within)} s is longer than senders wait",
            f"write less than {quoted(most)}",
            "answer_within",
        )
    if settings.retry_first > settings.retry_most:
        raise WrongSetting(
            f"{quoted(settings.retry_first)} is more than retry_most",
            f"write {quoted(settings.retry_most)} or less",
            "retry_first",
        )


def check_xcap(section: XCAPSection) -> None:
    """Refuse to serve HTTP over what carries none.

    :raises WrongSetting: naming the key.
    """
    for place, text in enumerate(section.listen):
        if parse_descriptor(text).kind not in (TCP, TLS):
            raise WrongSetting(
                f"{text}: carries no HTTP", "write tcp:PORT for http or tls:PORT for https", f"listen[{place}]"
            )


def check_b2bua(section: B2BUASection) -> None:
    """Refuse header fields and Info Packages that cannot pass from leg to leg, and intervals that no peer may agree to.

    :raises WrongSetting: naming the key.
    """
    if 0 < section.session_expires < section.min_se:
        # RFC 4028 section 7.1.
        right = f"write {section.min_se} or more, or 0"
        raise WrongSetting(f"{section.session_expires} is less than min_se", right, "session_expires")
    for name in section.info_packages:
        if not is_token(name):
            right = "write names of Info Packages, like g.example.keys"
            raise WrongSetting(f"{quoted(name)} is no name of an Info Package", right, "info_packages")
    for key, names in (("pass_headers", section.pass_headers), ("remove_headers", section.remove_headers)):
        for name in names:
            try:
                HeaderPolicy.build(add=[name])
            except LocalProtocolError as error:
                if key == "pass_headers" or not is_token(name.strip()):
                    raise WrongSetting(str(error), "write names of header fields like X-Account", key) from error


def check_media(settings: MediaSettings) -> None:
    """Refuse addresses that are none: every call would fail.

    :raises WrongSetting: naming the key.
    """
    right = "write an address of this host, like 192.0.2.1"
    for key, text in (("host", settings.host), ("advertise", settings.advertise)):
        if text and (not is_address(text) or text.startswith("[")):
            raise WrongSetting(f"{quoted(text)} is not an address", "write a numeric one, like 192.0.2.1", key)
    if not codec_kinds(settings.codecs):
        raise WrongSetting("need libopus, which is not installed", 'install it, or write "PCMU" as well', "codecs")
    if not settings.host:
        raise WrongSetting("is empty", right, "host")
    if not settings.advertise and ipaddress.ip_address(settings.host).is_unspecified:
        # RFC 3264 section 8.4: to the peer that is hold.
        raise WrongSetting(f"{quoted(settings.host)} is nowhere to send to", right, "host")


#: Settings class -> what looks at a whole object of it.
CHECKS: Checks = {
    **ROUTING_CHECKS,
    ProxySettings: check_proxy,
    AuthSettings: check_auth,
    RegistrarSettings: check_registrar,
    PushSettings: check_push,
    PresenceSettings: check_presence,
    MessagingSettings: check_messaging,
    MediaSettings: check_media,
    B2BUASection: check_b2bua,
    XCAPSection: check_xcap,
    MetricsSection: check_metrics,
    HEPSettings: check_hep,
}
