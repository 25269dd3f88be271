"""XCAP URIs below the root: which document, and which node of it (RFC 4825 section 6).

Everything here comes from strangers, before anybody has proved anything: it is split, decoded once and checked, and
names that could mean something to a file system are refused whether or not a store has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote_to_bytes

import attrs

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.uri import SIPURI, parse_uri
from twisted_sip.xcap.source_tree import XML_NAMESPACE, attribute_value

#: The most bytes of a request target that is looked at.
TARGET_LIMIT = 8192
#: The most steps of a node selector.
STEP_LIMIT = 64

SEPARATOR = "~~"

#: What may stand in a path segment as it is, beside letters, digits and ``-._~`` (RFC 3986 section 3.3).
PCHAR = "!$&'()*+,;=:@"

_NCNAME = r"[^\W\d][\w.\-·]*"
_QNAME = rf"(?:{_NCNAME}:)?{_NCNAME}"
_STEP = re.compile(
    rf"""(?P<name>\*|{_QNAME})
        (?:\[(?P<position>[0-9]{{1,9}})\])?
        (?:\[@(?P<attribute>{_QNAME})=(?P<value>"[^"<]*"|'[^'<]*')\])?""",
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(rf"@({_QNAME})")
_XMLNS = re.compile(rf"\s*({_NCNAME})\s*=\s*(.*)", re.DOTALL)
_SCHEME = re.compile(rf"\s*({_QNAME})\(")


class SelectorError(RemoteProtocolError):
    """A URI that selects nothing.

    :ivar status: the HTTP status that answers it: 404, or 400 where it is wrong in itself.
    """


@attrs.frozen(slots=True)
class Name:
    """An expanded name; both empty stand for ``*``."""

    namespace: str
    local: str


@attrs.frozen(slots=True, kw_only=True)
class Step:
    """One step of an element selector (section 6.3).

    :ivar name: the name of the element, None for any.
    :ivar position: its position among those of that name, counted from 1, None where it does not matter.
    :ivar attribute: an attribute that it must have, None where there is no test.
    :ivar value: the value of that attribute.
    :ivar source: the step as written, decoded.
    """

    name: Name | None
    position: int | None = None
    attribute: Name | None = None
    value: str = ""
    source: str = ""


@attrs.frozen(slots=True, kw_only=True)
class NodeSelector:
    """Which node of a document.

    :ivar steps: the element selector.
    :ivar attribute: an attribute of that element, None for the element itself.
    :ivar attribute_name: the name of that attribute as written.
    :ivar namespaces: the namespace bindings of that element are meant: ``namespace::*``.
    """

    steps: tuple[Step, ...]
    attribute: Name | None = None
    attribute_name: str = ""
    namespaces: bool = False


@attrs.frozen(slots=True, kw_only=True)
class DocumentSelector:
    """Which document (section 6.2).

    :ivar auid: the application usage.
    :ivar owner: the canonical address-of-record of the user, empty for the global tree.
    :ivar name: its path below the home directory or the global tree.
    """

    auid: str
    owner: str = ""
    name: str

    @property
    def path(self) -> str:
        """The selector as a path relative to the XCAP root, percent-encoded."""
        home = f"users/{quote(self.owner, safe=PCHAR)}" if self.owner else "global"
        return f"{quote(self.auid, safe=PCHAR)}/{home}/{quote(self.name, safe=PCHAR + '/')}"


@attrs.frozen(slots=True, kw_only=True)
class Target:
    """What a request is about, as far as can be told without knowing its application usage.

    :ivar document: the document.
    :ivar node: the node selector, decoded; None where the whole document is meant.
    :ivar query: the query as it came.
    """

    document: DocumentSelector
    node: str | None = None
    query: str = ""


def encode_node(node: str) -> str:
    """Return a node selector as it stands in a URI (section 6.3): percent-encoded, slashes between steps kept."""
    return quote(node, safe=PCHAR + "/")


def decode(text: str) -> str:
    """Return *text* with percent-encoding undone, once.

    :raises SelectorError: it is not UTF-8, or has a control character.
    """
    try:
        decoded = unquote_to_bytes(text.encode("ascii")).decode("utf-8")
    except UnicodeError:
        raise SelectorError("a URI is ASCII, and its escapes are UTF-8") from None
    if any(ord(char) < 32 or ord(char) == 127 for char in decoded):
        raise SelectorError("a control character in the URI")
    return decoded


def canonical_xui(text: str) -> str:
    """Return the address-of-record that a user identifier means: ``sip:user@host`` (section 6.2).

    The scheme may be left out. Parameters and header fields are for no user.

    :raises SelectorError: it is no SIP URI of a user (404: there is no such user).
    """
    if ":" not in text.partition("@")[0]:
        text = f"sip:{text}"
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        uri = None
    if not isinstance(uri, SIPURI) or not uri.user or uri.password is not None or uri.params or uri.headers:
        raise SelectorError("no such user", status=404)
    return uri.address_of_record


def parse_target(segments: Sequence[str], query: str = "") -> Target:
    """Return what a request is about.

    :param segments: the segments of the path below the XCAP root, as they came.
    :param query: the query as it came.
    :raises SelectorError: 404 where nothing can be there, 400 where it is wrong in itself.
    """
    if sum(map(len, segments)) + len(query) > TARGET_LIMIT:
        raise SelectorError("the URI is too long", status=414)
    node: str | None = None
    for place, segment in enumerate(segments):
        # Section 6: %7E%7E is the same; the first one separates.
        if segment in (SEPARATOR, "%7E%7E", "%7e%7e", "%7E~", "~%7E", "%7e~", "~%7e"):
            node = decode("/".join(segments[place + 1 :]))
            segments = segments[:place]
            break
    parts = [decode(segment) for segment in segments]
    if len(parts) >= 2 and parts[1] == "users":
        home, names = 3, parts[3:]
    elif len(parts) >= 2 and parts[1] == "global":
        home, names = 2, parts[2:]
    else:
        raise SelectorError("no such tree: users or global", status=404)
    if len(parts) <= home:
        raise SelectorError("a directory, not a document", status=404)
    if any(name in ("", ".", "..") or "/" in name or "\\" in name for name in (parts[0], *names)):
        raise SelectorError("no such document", status=404)
    owner = canonical_xui(parts[2]) if home == 3 else ""
    return Target(document=DocumentSelector(auid=parts[0], owner=owner, name="/".join(names)), node=node, query=query)


# -- node selectors --------------------------------------------------------------


def parse_bindings(query: str) -> dict[str, str]:
    """Return prefix -> namespace of the xmlns() parts of a query; other parts are ignored (section 6.4).

    :raises SelectorError: it is no sequence of pointer parts.
    """
    text = decode(query)
    bindings = {"xml": XML_NAMESPACE}
    place = 0
    while text[place:].strip():
        found = _SCHEME.match(text, place)
        if found is None:
            raise SelectorError("the query is no sequence of xmlns() parts")
        data, place = _pointer_data(text, found.end())
        if found[1] == "xmlns":
            binding = _XMLNS.fullmatch(data)
            if binding is None:
                raise SelectorError("an xmlns() part is prefix=namespace")
            bindings[binding[1]] = binding[2].strip()
    return bindings


def _pointer_data(text: str, place: int) -> tuple[str, int]:
    """Return what stands in the parentheses that open before *place*, and the place behind the closing one."""
    depth = 1
    data: list[str] = []
    while place < len(text):
        char = text[place]
        place += 1
        if char == "^" and place < len(text):
            # XPointer framework section 3.3: an escaped parenthesis or circumflex.
            data.append(text[place])
            place += 1
            continue
        depth += (char == "(") - (char == ")")
        if not depth:
            return "".join(data), place
        data.append(char)
    raise SelectorError("a parenthesis that does not close in the query")


def parse_node(text: str, default: str, bindings: Mapping[str, str]) -> NodeSelector:
    """Return the node selector in *text*.

    :param text: the selector, decoded.
    :param default: the default document namespace of the application usage (section 5.2).
    :param bindings: prefix -> namespace, from the query.
    :raises SelectorError: 400: empty, or a prefix without a binding (section 8); 404: an extension that is not known.
    """
    parts = _split(text)
    if not parts or len(parts) > STEP_LIMIT:
        raise SelectorError("no node selector, or one with too many steps")
    attribute: Name | None = None
    attribute_name = ""
    namespaces = False
    if len(parts) > 1 and parts[-1] == "namespace::*":
        namespaces = True
        parts.pop()
    elif len(parts) > 1 and (found := _ATTRIBUTE.fullmatch(parts[-1])):
        # Section 6.3: an attribute name without a prefix is in no namespace.
        attribute_name = found[1]
        attribute = _expand(attribute_name, "", bindings)
        parts.pop()
    steps = tuple(_step(part, default, bindings) for part in parts)
    return NodeSelector(steps=steps, attribute=attribute, attribute_name=attribute_name, namespaces=namespaces)


def _split(text: str) -> list[str]:
    """Return what stands between the slashes of *text*, those in attribute values aside."""
    parts: list[str] = []
    part = ""
    quoted = ""
    for char in text:
        if quoted:
            quoted = "" if char == quoted else quoted
        elif char in "\"'":
            quoted = char
        elif char == "/":
            parts.append(part)
            part = ""
            continue
        part += char
    return [*parts, part] if text else []


def _step(text: str, default: str, bindings: Mapping[str, str]) -> Step:
    found = _STEP.fullmatch(text)
    if found is None:
        # Section 8: an extension selector that the server does not understand.
        raise SelectorError("a step of the node selector is not understood", status=404)
    name = None if found["name"] == "*" else _expand(found["name"], default, bindings)
    attribute: Name | None = None
    value = ""
    if found["attribute"] is not None:
        attribute = _expand(found["attribute"], "", bindings)
        try:
            value = attribute_value(found["value"])
        except ValueError:
            raise SelectorError("a reference to no character in the node selector") from None
    position = None if found["position"] is None else int(found["position"])
    return Step(name=name, position=position, attribute=attribute, value=value, source=text)


def _expand(name: str, default: str, bindings: Mapping[str, str]) -> Name:
    prefix, colon, local = name.rpartition(":")
    if not colon:
        return Name(default, local)
    if prefix not in bindings:
        raise SelectorError(f"the prefix {prefix!r} is not bound by the query")
    return Name(bindings[prefix], local)
