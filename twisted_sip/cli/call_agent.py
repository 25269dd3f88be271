"""The user agent of ``twisted-sip call`` and ``load``: on the element of the tool, as the user of the options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import click
from twisted.internet.error import DNSLookupError

from twisted_sip import __version__
from twisted_sip.agent.compose import BuiltInMedia
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.cli.client import ClientOptions, parse_target
from twisted_sip.cli.output import Failed
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError, MissingExtra
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.codecs.table import codec_kinds
from twisted_sip.media.settings import MediaSettings
from twisted_sip.media.srtp import srtp_library
from twisted_sip.message.uri import SIPURI
from twisted_sip.tap.hosts import is_address, is_host

#: RFC 8489 section 8.
_STUN_PORT = 3478


def parse_callee(text: str) -> SIPURI:
    """Return whom to call; a mere word is no host here, unless ``sip:`` stands before it.

    :raises click.UsageError: it is no SIP URI.
    """
    bare = not text.lower().startswith(("sip:", "sips:")) and not any(char in text for char in "@.:")
    if bare and text.lower() != "localhost":
        raise click.UsageError(f'"{text}" is not a SIP URI like sip:bob@example.com')
    return parse_target(text)


def call_agent(
    element: Element, options: ClientOptions, *, media: MediaSettings | None, max_calls: int = 10
) -> UserAgent:
    """Return a user agent that is started.

    :param media: None for signalling only.
    """
    settings = AgentSettings(user_agent=f"twisted-sip/{__version__}", max_calls=max_calls, accept_transfers="nobody")
    made: Any = None if media is None else BuiltInMedia(element.reactor, media)
    agent = UserAgent(element, settings=settings, media=made)
    proxy = options.proxy
    route = () if proxy is None else (f"<{proxy if 'lr' in proxy.params else f'{proxy};lr'}>",)
    agent.account(f"<{options.identity}>", credentials=options.digest, route=route)
    agent.startService()
    return agent


def media_settings(codecs: str | None, srtp: str, ice: str = "off") -> MediaSettings:
    """Return the settings of media for the options ``--codecs``, ``--srtp`` and ``--ice``.

    :raises click.UsageError: they cannot be had.
    """
    given: dict[str, Any] = {"ice": ice}
    if codecs is not None:
        given["codecs"] = tuple(name.strip() for name in codecs.split(","))
    if srtp != "off":
        # The user asks for it, whatever the signalling is.
        given |= {"srtp": srtp, "keying": ("sdes",), "sdes_in_clear": True}
    try:
        made = MediaSettings(**given)
        if srtp != "off":
            srtp_library()
    except (LocalProtocolError, MissingExtra) as error:
        raise click.UsageError(str(error)) from error
    if not codec_kinds(made.codecs):
        raise click.UsageError("opus needs libopus, which is not installed")
    return made


def stun_servers(texts: Sequence[str], ice: str | None) -> tuple[tuple[str, int], ...]:
    """Return hosts and ports of the options ``--stun``.

    :param ice: the option ``--ice``, None without.
    :raises click.UsageError: one of them is no host and port, or ICE does not ask servers.
    """
    if texts and ice in ("off", "lite"):
        raise click.UsageError(f"--stun is of use with --ice full, not {ice}")
    found = []
    for text in texts:
        parsed = host_and_port(text)
        if parsed is None:
            raise click.UsageError(f'--stun: "{text}" is not a host like stun.example.com or 192.0.2.1:3478')
        found.append(parsed)
    return tuple(found)


def host_and_port(text: str) -> tuple[str, int] | None:
    """Return the two parts of *text*, the port of STUN where none is written (RFC 8489 section 8); None for others."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        port = rest.removeprefix(":") if rest or not closed else str(_STUN_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, str(_STUN_PORT)
    if not is_host(host) or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        return None
    return host, int(port)


async def with_stun_servers(
    element: Element, settings: MediaSettings, servers: Sequence[tuple[str, int]]
) -> MediaSettings:
    """Return *settings* with *servers*, whose names are looked up.

    :raises Failed: there is no such name.
    """
    found = []
    for host, port in servers:
        try:
            address = host if is_address(host) else await element.reactor.resolve(host)
        except (DNSLookupError, OSError) as error:
            raise Failed(f"{host}: there is no such host") from error
        found.append(Address(address, port))
    return attrs.evolve(settings, ice_settings=attrs.evolve(settings.ice_settings, stun_servers=tuple(found)))
