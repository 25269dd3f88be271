"""One Via value, a hop that a request has taken (RFC 3261 sections 18.2.1 and 20.42, RFC 3581)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import LWS, NO_PARAMS, Params, is_token, parse_params
from twisted_sip.message.hosts import HOST, ipv6_bytes, parse_host_port, printable
from twisted_sip.message.limits import SHORT

# The ordinary shape: one space, and no quotes or white space among the parameters.
_PLAIN_HEAD = re.compile(rf"SIP/2\.0/([A-Z]++) ({HOST})(?::([0-9]{{1,5}}+))?+").fullmatch
_PLAIN_PARAMS = re.compile(r"(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+)?+)*+").fullmatch
# sent-protocol with white space wherever SLASH allows it (RFC 4475 section 3.1.1.1).
_SENT_PROTOCOL = re.compile(r"[ \t]*+([^ \t/]++)[ \t]*+/[ \t]*+([^ \t/]++)[ \t]*+/[ \t]*+([^ \t/;]++)[ \t]++").match


class Via:
    """A Via value. Treat as immutable.

    :ivar transport: the transport in upper case: ``UDP``, ``TLS``, ``WSS`` or whatever was written.
    :ivar host: the host of sent-by as written; an IPv6 reference keeps its brackets.
    :ivar port: the port of sent-by, None where it is left out.
    """

    __slots__ = ("_params", "_params_text", "_sent_by", "_text", "host", "port", "transport")

    transport: str
    host: str
    port: int | None
    _text: str
    _sent_by: str
    _params_text: str
    _params: Params | None

    @classmethod
    def parse(cls, text: str) -> Via:
        """Parse one Via value.

        :raises RemoteProtocolError: it is malformed.
        """
        via = cls.__new__(cls)
        via._text = text
        head, semicolon, params = text.partition(";")
        params = semicolon + params
        known = _sent_by_in(head) if len(head) <= SHORT and _PLAIN_PARAMS(params) is not None else None
        if known is not None:
            via.transport, via.host, via.port, via._sent_by = known
            via._params_text = params
            via._params = None
        else:
            via._sent_by = ""
            try:
                via._parse_slowly(text)
            except RemoteProtocolError as error:
                raise RemoteProtocolError(f"Malformed Via header field: {error.reason}", header="Via") from error
        return via

    def _parse_slowly(self, text: str) -> None:
        found = _SENT_PROTOCOL(text)
        if found is None:
            raise RemoteProtocolError(f"Malformed sent-protocol in {printable(text)}")
        for word in found.groups():
            if not is_token(word):
                raise RemoteProtocolError(f"Malformed sent-protocol in {printable(text)}")
        self.transport = found.group(3).upper()
        sent_by, semicolon, params = text[found.end() :].partition(";")
        self.host, self.port = parse_host_port(sent_by)
        self._params_text = semicolon + params
        self._params = parse_params(semicolon + params)

    @classmethod
    def build(
        cls, transport: str, host: str, port: int | None = None, params: Iterable[tuple[str, str | None]] = ()
    ) -> Via:
        """Return a Via value of our own.

        :param transport: the Via token of the transport.
        :param host: host or IPv6 reference of sent-by.
        :param params: (name, value) pairs; None is a name without value.
        :raises LocalProtocolError: something in it would not read back as such.
        """
        tail = NO_PARAMS
        for name, value in params:
            tail = tail.with_(name, value)
        where = host if port is None else f"{host}:{port}"
        try:
            return cls.parse(f"SIP/2.0/{transport} {where}{tail}")
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from error

    @property
    def params(self) -> Params:
        """The parameters."""
        params = self._params
        if params is None:
            params = self._params = parse_params(self._params_text)
        return params

    @property
    def branch(self) -> str:
        """The branch (section 8.1.1.7), an empty string where there is none."""
        if self._params is None:
            # The ordinary shape is ASCII without quotes, so that this finds what the parameters would say.
            text = self._params_text
            start = text.lower().find(";branch=")
            if start < 0:
                return ""
            end = text.find(";", start + 8)
            return text[start + 8 :] if end < 0 else text[start + 8 : end]
        return self._params.get("branch") or ""

    @property
    def received(self) -> str:
        """The address it came from (section 18.2.1), IPv6 without brackets (RFC 5118 section 4.5); or ""."""
        value = self.params.get("received") or ""
        return value[1:-1] if value.startswith("[") and value.endswith("]") else value

    @property
    def rport(self) -> int | None:
        """The port it came from (RFC 3581 section 4); 0 if asked for without a value, None if absent.

        :raises RemoteProtocolError: it is no port.
        """
        params = self.params
        if "rport" not in params:
            return None
        value = params.get("rport")
        return self._number("rport", value, 65535) if value else 0

    @property
    def maddr(self) -> str:
        """The multicast address (section 18.1.1), an empty string where there is none."""
        return self.params.get("maddr") or ""

    @property
    def ttl(self) -> int | None:
        """The time to live (section 18.1.1), None where there is none.

        :raises RemoteProtocolError: it is no number up to 255.
        """
        value = self.params.get("ttl")
        return None if value is None else self._number("ttl", value, 255)

    @staticmethod
    def _number(name: str, value: str, limit: int) -> int:
        if value.isdigit() and value.isascii() and len(value) < 20:
            number = int(value)
            if number <= limit:
                return number
        raise RemoteProtocolError(f"Malformed Via header field: {name} is {printable(value)}", header="Via")

    @property
    def sent_by(self) -> str:
        """``host:port`` or ``host`` in lower case, as transactions are matched by (section 17.2.3)."""
        sent_by = self._sent_by
        if not sent_by:
            host = self.host.lower()
            sent_by = self._sent_by = host if self.port is None else f"{host}:{self.port}"
        return sent_by

    def with_(self, name: str, value: str | None = None) -> Via:
        """Return this value with the parameter *name* set to *value* (None: without a value).

        :raises LocalProtocolError: the name or value would not read back as such.
        """
        if self._params is None and f";{name.lower()}" not in self._params_text.lower():
            tail = str(NO_PARAMS.with_(name, value))
            return self._made(self._text + tail, self._params_text + tail, None)
        return self._with_params(self.params.with_(name, value))

    def without(self, name: str) -> Via:
        """Return this value without the parameter *name*."""
        params = self.params
        return self._with_params(params.without(name)) if name in params else self

    def _with_params(self, params: Params) -> Via:
        tail = str(params)
        head = self._text[: len(self._text) - len(self._params_text)]
        return self._made(head.rstrip(LWS) + tail, tail, params)

    def _made(self, text: str, params_text: str, params: Params | None) -> Via:
        made = Via.__new__(Via)
        made.transport = self.transport
        made.host = self.host
        made.port = self.port
        made._text = text
        made._sent_by = self._sent_by
        made._params_text = params_text
        made._params = params
        return made

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<Via {self._text}>"


@lru_cache(maxsize=4096)
def _sent_by_in(head: str) -> tuple[str, str, int | None, str] | None:
    """Return transport, host, port and sent-by of *head*, a Via value up to its parameters, if it is ordinary."""
    found = _PLAIN_HEAD(head)
    if found is None:
        return None
    transport, host, digits = found.groups()
    port = None if digits is None else int(digits)
    if (port or 0) > 65535 or (host[0] == "[" and ipv6_bytes(host) is None):
        return None
    return transport, host, port, host.lower() if port is None else f"{host.lower()}:{port}"
