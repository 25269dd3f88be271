"""Which fields of the settings classes are keys of the configuration file, and what they mean."""

from __future__ import annotations

import inspect
import re
from typing import Any

import attrs

from twisted_sip.media.settings import MediaSettings
from twisted_sip.proxy.routes.emergency import EmergencySettings
from twisted_sip.proxy.routes.enum_lookup import ENUMSettings
from twisted_sip.proxy.static_routes import StaticRoute
from twisted_sip.transport.settings import TransportSettings

#: Fields that are filled from other sections ([server] advertise and stun, [tls], [limits] max_connections and
#: max_connections_per_source), so that there is one way to set a thing.
_FILLED_FROM_ELSEWHERE: dict[type[Any], frozenset[str]] = {
    TransportSettings: frozenset({"advertise", "tls", "connections", "connections_per_source"}),
    # [server] stun.
    MediaSettings: frozenset({"ice_settings"}),
}

#: Lists for which a single text may stand.
_ONE_OR_MANY = frozenset(
    {(StaticRoute, "to"), (StaticRoute, "hours"), (EmergencySettings, "to"), (ENUMSettings, "suffixes")}
)

_IVAR = re.compile(r"^:ivar (\w+): *(.*(?:\n(?!:|$).*)*)", re.MULTILINE)


def key_fields(cls: type[Any]) -> list[attrs.Attribute[Any]]:
    """Return the fields of *cls*, types resolved, that a file may set."""
    attrs.resolve_types(cls)
    left_out = frozenset[str]().union(*(_FILLED_FROM_ELSEWHERE.get(one, ()) for one in cls.__mro__))
    return [field for field in attrs.fields(cls) if field.init and field.name not in left_out]


def help_of(cls: type[Any], field: attrs.Attribute[Any]) -> str:
    """Return what *field* means, as a sentence: from its metadata, or else from the docstring of its class."""
    text = str(field.metadata.get("help") or _documented(cls).get(field.name, ""))
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else text + "."


def _documented(cls: type[Any]) -> dict[str, str]:
    doc = inspect.getdoc(cls) or ""
    return {name: re.sub(r"\s+", " ", text) for name, text in _IVAR.findall(doc)}


def one_or_many(cls: type[Any], field: attrs.Attribute[Any]) -> bool:
    """Tell whether a single text may stand for the list that *field* of *cls* is."""
    return (cls, field.name) in _ONE_OR_MANY
