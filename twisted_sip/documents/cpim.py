"""Common Presence and Instant Messaging messages: ``message/cpim`` (RFC 3862).

Two parts and a body: message headers, whose names belong to namespaces, then a MIME entity. Who passes such a message
on must not change a byte of it (section 6), so what is read here is never put together again from its parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import attrs

from twisted_sip.errors import DocumentError, LocalProtocolError, RemoteProtocolError
from twisted_sip.message.media_types import ContentDisposition, MediaType

MEDIA_TYPE = "message/cpim"
#: The namespace of the headers of RFC 3862 itself (section 4).
CPIM_NAMESPACE = "urn:ietf:params:cpim-headers:"

#: The most bytes of a message, and the most headers and MIME header fields in it.
SIZE_LIMIT = 65536
HEADER_LIMIT = 200

# Section 3.6; a name with a dot has a namespace prefix. Nothing is asked of the value but that it is one line.
_NAME = r"[!#-'*+\-^-`|~A-Za-z0-9]+"
_HEADER = re.compile(rf"((?:{_NAME}\.)?{_NAME})[ \t]*:((?:;[^\s;\"]+(?:\"(?:[^\"\\]|\\.)*\")?)*)[ \t]*(.*)").fullmatch
_IS_NAME = re.compile(_NAME).fullmatch
_NAMESPACE = re.compile(rf"({_NAME})?[ \t]*<([^<>\s]+)>").fullmatch
_ADDRESS = re.compile(r'(?:"((?:[^"\\]|\\.)*)"[ \t]*+|([^<>"]*+))<([^<>\s]+)>').fullmatch
_MIME = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*)").fullmatch

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.|$)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "r": "\r"}
_TO_ESCAPE = re.compile(r"[\x00-\x1f\x7f\\]")
_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def escape(text: str) -> str:
    """Return *text* as a header value has it (section 2.3.1): backslashes and control characters escaped."""
    return _TO_ESCAPE.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def unescape(value: str) -> str:
    """Return the text that a header *value* stands for (section 2.3.1)."""

    def plain(found: re.Match[str]) -> str:
        mark = found[1]
        if len(mark) == 5:
            return chr(int(mark[1:], 16))
        return _ESCAPED.get(mark, mark)

    # Two halves of a character beyond U+FFFF, which some write as they do in Java, are one character.
    return _ESCAPE.sub(plain, value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@attrs.frozen(slots=True)
class CPIMAddress:
    """A From, To or cc value (sections 4.1 to 4.3).

    :ivar uri: the URI.
    :ivar name: the formal name, without quotes and escapes, or empty.
    """

    uri: str
    name: str = ""

    @classmethod
    def parse(cls, value: str) -> CPIMAddress:
        """Return the address in *value*.

        :raises DocumentError: it is none.
        """
        found = _ADDRESS(value)
        if found is None:
            raise DocumentError("CPIM address is malformed")
        quoted, plain, uri = found.groups()
        return cls(uri, unescape(quoted) if quoted is not None else unescape(plain.strip(" \t")))

    def __str__(self) -> str:
        name = escape(self.name).replace('"', '\\"')
        return f'"{name}" <{self.uri}>' if name else f"<{self.uri}>"


@attrs.frozen(slots=True)
class CPIMHeader:
    """One message header.

    :ivar name: its name without prefix, as written: names are case-sensitive.
    :ivar value: its value as written, escapes and all.
    :ivar namespace: the URI of the namespace that the name belongs to; empty for a prefix that was not declared.
    :ivar language: the language tag (section 3.3), or empty.
    """

    name: str
    value: str
    namespace: str = CPIM_NAMESPACE
    language: str = ""

    @property
    def text(self) -> str:
        """The value with its escapes resolved."""
        return unescape(self.value)


@attrs.frozen(slots=True, kw_only=True)
class CPIMMessage:
    """A message.

    :ivar headers: the message headers, in order, declarations of namespaces left out.
    :ivar content_headers: the MIME header fields of the content, (name, value), in order.
    :ivar body: the content.
    """

    headers: tuple[CPIMHeader, ...] = ()
    content_headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def first(self, name: str, namespace: str = CPIM_NAMESPACE) -> str | None:
        """Return the value of the first header *name* of *namespace*, None if there is none."""
        return next(iter(self.all(name, namespace)), None)

    def all(self, name: str, namespace: str = CPIM_NAMESPACE) -> list[str]:
        """Return the values of the headers *name* of *namespace*."""
        return [header.value for header in self.headers if header.name == name and header.namespace == namespace]

    def content_header(self, name: str) -> str:
        """Return the value of the MIME header field *name*, in whatever case, or an empty text."""
        name = name.lower()
        return next((value for known, value in self.content_headers if known.lower() == name), "")

    @property
    def content_type(self) -> MediaType:
        """The type of the content; text/plain where it is missing, which section 2.4 does not allow.

        :raises DocumentError: it is malformed.
        """
        try:
            return MediaType.parse(self.content_header("content-type") or "text/plain")
        except RemoteProtocolError as error:
            raise DocumentError("CPIM Content-Type is malformed") from error

    @property
    def disposition(self) -> str:
        """The Content-Disposition type in lower case, or empty."""
        try:
            text = self.content_header("content-disposition")
            return ContentDisposition.parse(text).key if text else ""
        except RemoteProtocolError:
            return ""

    @property
    def sender(self) -> CPIMAddress | None:
        """The From address, None where it is missing or malformed."""
        return _address(self.first("From"))

    @property
    def recipients(self) -> list[CPIMAddress]:
        """The To addresses that can be read."""
        found = [_address(value) for value in self.all("To")]
        return [address for address in found if address is not None]

    @property
    def sent_at(self) -> float | None:
        """DateTime in seconds since the epoch, None where it is missing or malformed."""
        value = self.first("DateTime")
        return parse_date_time(value) if value is not None else None

    def to_bytes(self) -> bytes:
        """Return the message as a body. Prefixes are declared before the first header that needs one.

        :raises LocalProtocolError: a name or value cannot be sent.
        """
        lines: list[str] = []
        prefixes: dict[str, str] = {CPIM_NAMESPACE: ""}
        for header in self.headers:
            if _IS_NAME(header.name) is None:
                raise LocalProtocolError(f"{header.name!r} is no CPIM header name")
            if header.namespace not in prefixes:
                prefix = _prefix(header.namespace, len(prefixes))
                prefixes[header.namespace] = f"{prefix}."
                lines.append(f"NS: {prefix} <{header.namespace}>")
            language = f";lang={header.language}" if header.language else ""
            lines.append(f"{prefixes[header.namespace]}{header.name}:{language} {header.value}")
        lines += ["", *(f"{name}: {value}" for name, value in self.content_headers), "", ""]
        for line in lines:
            if "\r" in line or "\n" in line or "\0" in line:
                raise LocalProtocolError(f"{line!r} must not hold CR, LF or NUL")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


def _prefix(namespace: str, number: int) -> str:
    """Return the prefix for *namespace*: what it usually has, since not everybody looks at declarations."""
    last = namespace.rstrip(":").rpartition(":")[2]
    return last if _IS_NAME(last) else f"ns{number}"


def _address(value: str | None) -> CPIMAddress | None:
    try:
        return None if value is None else CPIMAddress.parse(value)
    except DocumentError:
        return None


def parse_cpim(body: bytes, *, limit: int = SIZE_LIMIT) -> CPIMMessage:
    """Return the message in *body*.

    Lenient: lines may end in LF alone, and white space around names and values does not matter.

    :param limit: the most bytes.
    :raises DocumentError: it is no such message, or beyond a limit (``too_large``).
    """
    if len(body) > limit:
        raise DocumentError(f"CPIM message is longer than {limit} bytes", too_large=True)
    lines, rest = _head(body)
    headers: list[CPIMHeader] = []
    namespaces = {"": CPIM_NAMESPACE}
    for line in lines:
        found = _HEADER(line)
        if found is None:
            raise DocumentError("CPIM header is malformed")
        name, params, value = found.groups()
        if name == "NS":
            declared = _NAMESPACE(value)
            if declared is None:
                raise DocumentError("CPIM namespace is malformed")
            namespaces[declared[1] or ""] = declared[2]
            continue
        prefix, _, local = name.rpartition(".")
        headers.append(CPIMHeader(local, value, namespaces.get(prefix, ""), _language(params)))
    fields, content = _head(rest)
    return CPIMMessage(headers=tuple(headers), content_headers=tuple(_mime(fields)), body=content)


def _language(params: str) -> str:
    for param in params.split(";"):
        name, _, value = param.partition("=")
        if name == "lang":
            return value
    return ""


def _head(data: bytes) -> tuple[list[str], bytes]:
    """Return the lines up to the first empty one, and what comes after that."""
    lines: list[str] = []
    start = 0
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            raise DocumentError("CPIM message has no empty line where one must be")
        line = data[start:end].rstrip(b"\r")
        start = end + 1
        if not line:
            return lines, data[start:]
        if len(lines) >= HEADER_LIMIT:
            raise DocumentError("CPIM message has too many headers", too_large=True)
        lines.append(line.decode("utf-8", "surrogateescape").rstrip(" \t"))


def _mime(lines: Iterable[str]) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and fields:
            # RFC 2045 takes its header fields from mail, with folded lines.
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}")
            continue
        found = _MIME(line)
        if found is None:
            raise DocumentError("CPIM content header is malformed")
        fields.append((found[1], found[2]))
    return fields


def parse_date_time(text: str) -> float | None:
    """Return the moment of RFC 3339 in *text* in seconds since the epoch, None if it is none."""
    if not 10 < len(text) <= 64:
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        return None


def format_date_time(seconds: float) -> str:
    """Return the moment *seconds* since the epoch by RFC 3339, in UTC and without fractions."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
