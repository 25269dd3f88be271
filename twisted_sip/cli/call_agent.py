"""The user agent of ``twisted-sip call`` and ``load``: on the element of the tool, as the user of the options."""

from __future__ import annotations

from typing import Any

import click

from twisted_sip import __version__
from twisted_sip.agent.compose import BuiltInMedia
from twisted_sip.agent.settings import AgentSettings
from twisted_sip.agent.user_agent import UserAgent
from twisted_sip.cli.client import ClientOptions, parse_target
from twisted_sip.element.element import Element
from twisted_sip.errors import LocalProtocolError
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.uri import SIPURI


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


def media_settings(codecs: str | None, srtp: str) -> MediaSettings:
    """Return the settings of media for the options ``--codecs`` and ``--srtp``.

    :raises click.UsageError: they cannot be had.
    """
    given: dict[str, Any] = {}
    if codecs:
        given["codecs"] = tuple(name.strip() for name in codecs.split(","))
    if srtp != "off":
        # The user asks for it, whatever the signalling is.
        given |= {"srtp": srtp, "keying": ("sdes",), "sdes_in_clear": True}
    try:
        return MediaSettings(**given)
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from error
