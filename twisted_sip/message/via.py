"""One Via value, a hop that a request has taken (RFC 3261 sections 18.2.1 and 20.42, RFC 3581)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import LWS, NO_PARAMS, Params, is_token, parse_params
from twisted_sip.message.header_map import line_value
from twisted_sip.message.header_names import CANONICAL
from twisted_sip.message.hosts import HOST, ipv6_bytes, parse_host_port, printable
from twisted_sip.message.kept import Kept

# The ordinary shape: one space, and no quotes or white space among the parameters.
_PLAIN_HEAD = re.compile(rf"SIP/2\.0/([A-Z]++) ({HOST})(?::([0-9]{{1,5}}+))?+").fullmatch
_PLAIN_PARAMS = re.compile(r"(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+)?+)*+").fullmatch
# What follows ``;branch=`` then.
_PLAIN_BRANCH = re.compile(
    r"[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+)?+)*+"
).fullmatch
# sent-protocol with white space wherever SLASH allows it (RFC 4475 section 3.1.1.1).
_SENT_PROTOCOL = re.compile(r"[ \t]*+([^ \t/]++)[ \t]*+/[ \t]*+([^ \t/]++)[ \t]*+/[ \t]*+([^ \t/;]++)[ \t]++").match

#: What is known of the parameters of a Via value besides its branch: a client asks for its port (RFC 3581), or more.
RPORT = ";rport"
SOME = ";"


class Via:
    """A Via value. Treat as immutable.

    :ivar transport: the transport in upper case: ``UDP``, ``TLS``, ``WSS`` or whatever was written.
    :ivar host: the host of sent-by as written; an IPv6 reference keeps its brackets.
    :ivar port: the port of sent-by, None where it is left out.
    :ivar sent_by: ``host:port`` or ``host`` in lower case, as transactions are matched by (section 17.2.3).
    :ivar branch: the branch (section 8.1.1.7), an empty string where there is none.
    :ivar besides: the parameters besides the branch, as far as known: none, ``;rport`` alone, or :data:`SOME`.
    :ivar reply_address: where responses go over UDP (an interfaces.flow.Address), once the transport layer has compared
        the value with its source; None where that is not known.
    """

    __slots__ = (
        "_line",
        "_params",
        "_start",
        "besides",
        "branch",
        "host",
        "port",
        "reply_address",
        "sent_by",
        "transport",
    )

    transport: str
    host: str
    port: int | None
    sent_by: str
    branch: str
    besides: str
    reply_address: Any
    _line: str
    _start: int
    _params: Params | None

    @classmethod
    def parse(cls, text: str) -> Via:
        """Parse one Via value.

        :raises RemoteProtocolError: it is malformed.
        """
        head, semicolon, params = text.partition(";")
        params = semicolon + params
        known = _SENT_BY[head] if _PLAIN_PARAMS(params) is not None else None
        via = cls.__new__(cls)
        via._line = text
        via._start = 0
        via.besides = SOME
        via.reply_address = None
        if known is not None:
            via.transport, via.host, via.port, via.sent_by = known
            via.branch = _branch_in(params)
            via._params = None
        else:
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
        sent_by, semicolon, params_text = text[found.end() :].partition(";")
        self.host, self.port = parse_host_port(sent_by)
        host = self.host.lower()
        self.sent_by = host if self.port is None else f"{host}:{self.port}"
        self._params = params = parse_params(semicolon + params_text)
        self.branch = params.get("branch") or ""

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
    def _params_text(self) -> str:
        """The parameters as written. No semicolon can stand before them: neither sent-protocol nor sent-by has one."""
        _, semicolon, text = str(self).partition(";")
        return semicolon + text

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

    def with_(self, name: str, value: str | None = None) -> Via:
        """Return this value with the parameter *name* set to *value* (None: without a value).

        :raises LocalProtocolError: the name or value would not read back as such.
        """
        key = name.lower()
        if self._params is None and f";{key}" not in self._line.lower():
            made = self.noted(str(self) + str(NO_PARAMS.with_(name, value)), None)
            if key == "branch":
                made.branch = value or ""
            return made
        return self._with_params(self.params.with_(name, value))

    def without(self, name: str) -> Via:
        """Return this value without the parameter *name*."""
        params = self.params
        return self._with_params(params.without(name)) if name in params else self

    def _with_params(self, params: Params) -> Via:
        head = str(self).partition(";")[0]
        made = self.noted(f"{head.rstrip(LWS)}{params}", None)
        made._params = params
        made.branch = params.get("branch") or ""
        return made

    def noted(self, text: str, reply_address: Any) -> Via:
        """Return this value with received and rport filled in by the transport layer; the branch is the same.

        :param text: the value as it is then.
        :param reply_address: where responses go.
        """
        made = Via()
        made.transport = self.transport
        made.host = self.host
        made.port = self.port
        made.sent_by = self.sent_by
        made.branch = self.branch
        made.besides = SOME
        made.reply_address = reply_address
        made._line = text
        made._start = 0
        made._params = None
        return made

    def __str__(self) -> str:
        # Most values are never asked for their text: no copy of it is made before.
        return self._line[self._start :]

    def __repr__(self) -> str:
        return f"<Via {self}>"


def _branch_in(params: str) -> str:
    # The ordinary shape is ASCII without quotes, so that this finds what the parameters would say.
    start = params.lower().find(";branch=")
    if start < 0:
        return ""
    end = params.find(";", start + 8)
    return params[start + 8 :] if end < 0 else params[start + 8 : end]


def via_in(line: str) -> Via | None:
    """Return the first value of a Via *line* if it is of the ordinary shape, None for any other.

    A client's Via values differ in their branch alone: what stands before it is read once.
    """
    head, mark, tail = line.partition(";branch=")
    known = _HOPS[head] if mark else None
    if known is None:
        return None
    start, besides, transport, host, port, sent_by = known
    if "," in tail:
        # More values behind it (section 7.3.1). Nothing that is ordinary could hide a comma.
        tail, _, others = tail.partition(",")
        if "\r" in others or "\n" in others or "\0" in others:
            return None
        line = f"{head}{mark}{tail}"
    branch = tail
    usual = True
    if ";" in tail:
        branch, _, more = tail.partition(";")
        usual = more == "rport"
        besides = RPORT if usual and not besides else SOME
    # The usual ones need no pattern.
    if (
        not (usual and branch.isascii() and (branch.isalnum() or branch.replace("-", "").isalnum()))
        and _PLAIN_BRANCH(tail) is None
    ):
        return None
    via = Via()
    via._line = line
    via._start = start
    via.besides = besides
    via.transport = transport
    via.host = host
    via.port = port
    via.sent_by = sent_by
    via._params = None
    via.reply_address = None
    via.branch = branch
    return via


def _read_sent_by(head: str) -> tuple[str, str, int | None, str] | None:
    """Return transport, host, port and sent-by of *head*, a Via value up to its parameters, if it is ordinary."""
    found = _PLAIN_HEAD(head)
    if found is None:
        return None
    transport, host, digits = found.groups()
    port = None if digits is None else int(digits)
    if (port or 0) > 65535 or (host[0] == "[" and ipv6_bytes(host) is None):
        return None
    return transport, host, port, host.lower() if port is None else f"{host.lower()}:{port}"


#: What a Via line says up to its branch: where the value begins, which parameters it has, transport, host, port and
#: sent-by.
_Hop: TypeAlias = tuple[int, str, str, str, int | None, str]


def _read_hop(line: str) -> _Hop | None:
    """Return what *line*, a Via line up to its branch, says if it is ordinary."""
    if CANONICAL.get(line.partition(":")[0]) != "via":
        return None
    value = line_value(line)
    head, semicolon, params = value.partition(";")
    known = _read_sent_by(head)
    if known is None or not line.endswith(value) or _PLAIN_PARAMS(semicolon + params) is None:
        return None
    if "branch" in params.lower():
        # In another spelling: it comes first, so it counts.
        return None
    besides = semicolon + params
    return len(line) - len(value), besides if besides in ("", RPORT) else SOME, *known


_SENT_BY: Kept[str, tuple[str, str, int | None, str] | None] = Kept(_read_sent_by, 4096)
_HOPS: Kept[str, _Hop | None] = Kept(_read_hop, 4096)
