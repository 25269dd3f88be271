"""Bodies of several parts: reading and building them, and which parts a recipient is to understand.

RFC 2046 section 5.1 (the syntax), RFC 5621 (multipart bodies, dispositions and handling in SIP; its section 7.1 for
multipart/related). Everything is bounded: parts, nesting, header fields of a part.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

import attrs

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import check_value, is_token, quote, unquote
from twisted_sip.message.media_types import ContentDisposition, MediaType
from twisted_sip.message.parameterized import Parameters, parameter

#: The most parts of a body, all levels together.
PART_LIMIT = 256
#: The deepest nesting of multipart bodies; the outermost is 1 deep.
DEPTH_LIMIT = 8
#: The most header fields of a part.
FIELD_LIMIT = 32

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_LINE = re.compile(r"\r?\n")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_TEXT = MediaType("text/plain")


def _refused(reason: str, status: int = 400) -> RemoteProtocolError:
    return RemoteProtocolError(reason, status=status, header="Content-Type")


@attrs.frozen(slots=False, kw_only=True)
class BodyPart:
    """One part of a multipart body, or a whole body.

    :ivar content_type: its media type; text/plain where a part does not tell (RFC 2046 section 5.1).
    :ivar body: what it says, any transfer encoding undone; empty where there are :attr:`parts`.
    :ivar content_id: its Content-ID without angle brackets, or empty.
    :ivar disposition: its Content-Disposition, None where it has none.
    :ivar headers: its other header fields: names in lower case, and values.
    :ivar parts: the parts of a multipart body.
    """

    content_type: MediaType = _TEXT
    body: bytes = b""
    content_id: str = ""
    disposition: ContentDisposition | None = None
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[BodyPart, ...] = ()

    @property
    def disposition_type(self) -> str:
        """How it is to be treated; the default depends on the media type (RFC 5621 section 8.2)."""
        if self.disposition is not None:
            return self.disposition.key
        return "session" if self.content_type.key == "application/sdp" else "render"

    @property
    def required(self) -> bool:
        """Whether who does not understand it must refuse the message (RFC 5621 section 8.1)."""
        return self.disposition is None or self.disposition.required

    @cached_property
    def root(self) -> BodyPart:
        """The part to begin with: the one that ``start`` names, else the first (RFC 5621 section 7.1).

        :raises RemoteProtocolError: ``start`` names a part that is not there.
        """
        start = parameter(self.content_type.params, "start")
        if not start:
            return self.parts[0]
        found = self.part(start)
        if found is None:
            raise _refused("Multipart body without the part that its start parameter names")
        return found

    def part(self, content_id: str) -> BodyPart | None:
        """Return the part on the top level with this Content-ID, written with or without angle brackets."""
        content_id = _bare_id(content_id)
        return next((part for part in self.parts if part.content_id == content_id), None)

    def leaves(self) -> Iterator[BodyPart]:
        """Give every part that is not multipart itself, in order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def _bare_id(text: str) -> str:
    text = text.strip()
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


class _Reader:
    """Reads one body with all that is nested in it, and counts."""

    __slots__ = ("parts_left",)

    def __init__(self, parts: int) -> None:
        self.parts_left = parts

    def multipart(self, content_type: MediaType, body: bytes, depth: int) -> tuple[BodyPart, ...]:
        if depth <= 0:
            raise _refused("Multipart body is nested too deep", 413)
        boundary = content_type.boundary
        if _BOUNDARY(boundary) is None:
            raise _refused("Multipart body without a legal boundary")
        # A delimiter is a line of its own; the line end before it belongs to it (RFC 2046 section 5.1.1).
        delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode("ascii")) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
        made: list[BodyPart] = []
        start = -1
        for found in delimiter.finditer(body):
            if start >= 0:
                self.parts_left -= 1
                if self.parts_left < 0:
                    raise _refused("Multipart body has too many parts", 413)
                made.append(self.part(body[start : found.start()], depth))
            if found[1]:
                if not made:
                    break
                return tuple(made)
            start = found.end()
        if start < 0:
            raise _refused("Multipart body without any part")
        raise _refused("Multipart body without its final boundary")

    def part(self, text: bytes, depth: int) -> BodyPart:
        """Return the part in *text*, which begins with the line end of the delimiter."""
        # Without header fields the blank line follows the delimiter at once.
        blank = _BLANK_LINE.search(text)
        head, body = (text[: blank.start()], text[blank.end() :]) if blank else (text, b"")
        content_type = _TEXT
        content_id = encoding = ""
        disposition: ContentDisposition | None = None
        others: list[tuple[str, str]] = []
        for name, value in _fields(head):
            if name == "content-type":
                content_type = MediaType.parse(value)
            elif name == "content-id":
                content_id = _bare_id(value)
            elif name == "content-disposition":
                disposition = ContentDisposition.parse(value)
            elif name == "content-transfer-encoding":
                encoding = value.lower()
            else:
                others.append((name, value))
        body = _decoded(body, encoding)
        parts: tuple[BodyPart, ...] = ()
        if content_type.type == "multipart":
            parts, body = self.multipart(content_type, body, depth - 1), b""
        return BodyPart(
            content_type=content_type,
            body=body,
            content_id=content_id,
            disposition=disposition,
            headers=tuple(others),
            parts=parts,
        )


def _fields(head: bytes) -> list[tuple[str, str]]:
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape").strip("\r\n"))
    lines = _LINE.split(text) if text else []
    if len(lines) > FIELD_LIMIT:
        raise _refused("Body part with too many header fields", 413)
    made: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t").lower()
        if not colon or not is_token(name):
            raise _refused("Body part with a malformed header field")
        made.append((name, value.strip(" \t")))
    return made


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "binary", "8bit", "7bit"):
        return body
    if encoding == "base64":
        try:
            return base64.b64decode(body.translate(None, b"\r\n\t "), validate=True)
        except binascii.Error:
            raise _refused("Body part with malformed base64") from None
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    raise _refused("Body part with an unknown Content-Transfer-Encoding", 415)


def parse_multipart(
    content_type: MediaType | str, body: bytes, *, parts: int = PART_LIMIT, depth: int = DEPTH_LIMIT
) -> BodyPart:
    """Return the body of a message as a tree of parts.

    A body that is not multipart comes back as a part without parts. What stands before the first boundary and behind
    the last is dropped.

    :param content_type: the Content-Type of the message.
    :param parts: the most parts, all levels together.
    :param depth: the deepest nesting; the outermost body is 1 deep.
    :raises RemoteProtocolError: it is malformed (400), beyond a limit (413), or coded in an unknown way (415).
    """
    media_type = MediaType.parse(content_type) if isinstance(content_type, str) else content_type
    if media_type.type != "multipart":
        return BodyPart(content_type=media_type, body=body)
    return BodyPart(content_type=media_type, parts=_Reader(parts).multipart(media_type, body, depth))


def understood_parts(
    body: BodyPart,
    media_types: Collection[str],
    dispositions: Collection[str] = ("render", "session"),
    references: Collection[str] = (),
) -> list[BodyPart]:
    """Return the parts that a recipient is to process, in order (RFC 5621 sections 6, 8 and 9).

    Of a multipart/alternative that is the last one understood, of a multipart/related the root, of any other multipart
    each part.

    :param media_types: what is understood here, in lower case.
    :param dispositions: the disposition types that are understood here.
    :param references: the Content-IDs that header fields refer to; a part ``by-reference`` that nothing refers to is
        not processed (section 9.4).
    :raises RemoteProtocolError: a part whose handling is required is not understood (415).
    """
    if not body.parts:
        # A reference decides over the disposition (section 9.3).
        if body.content_type.key in media_types and (
            body.disposition_type in dispositions or (body.content_id and body.content_id in references)
        ):
            return [body]
        return _not_understood(body, f"A body part of type {body.content_type.key} is not understood here")
    if body.content_type.subtype == "alternative":
        for part in reversed(body.parts):
            try:
                if chosen := understood_parts(part, media_types, dispositions, references):
                    return chosen
            except RemoteProtocolError:
                # The handling of the alternatives themselves does not count (section 8.3).
                continue
        return _not_understood(body, "No alternative of the body is understood here")
    parts = (body.root,) if body.content_type.subtype == "related" else body.parts
    try:
        return [found for part in parts for found in understood_parts(part, media_types, dispositions, references)]
    except RemoteProtocolError as error:
        return _not_understood(body, error.reason)


def _not_understood(part: BodyPart, reason: str) -> list[BodyPart]:
    """Leave *part* out where its handling is optional.

    :raises RemoteProtocolError: it is required (RFC 5621 section 8.4).
    """
    if part.required:
        raise _refused(reason, 415)
    return []


def build_multipart(
    parts: Sequence[BodyPart],
    subtype: str = "mixed",
    params: Parameters = (),
    boundary: str = "",
) -> tuple[str, bytes]:
    """Return the Content-Type and the body of a multipart body; bodies of parts go out as binary.

    :param subtype: ``mixed``, ``alternative`` or ``related``.
    :param params: further parameters of the Content-Type: ``start`` and ``type`` of multipart/related.
    :param boundary: the boundary; without one, one is made that does not occur in the parts.
    :raises LocalProtocolError: there is no part, or a value cannot be sent, or the boundary occurs in a part.
    """
    if not parts:
        raise LocalProtocolError("A multipart body needs a part")
    for word in (subtype, *(name for name, _ in params)):
        if not is_token(word):
            raise LocalProtocolError(f"{word!r} is no subtype or parameter name")
    texts = [_part_text(part) for part in parts]
    if not boundary:
        boundary = _unused_boundary(texts)
    elif _BOUNDARY(boundary) is None:
        raise LocalProtocolError(f"{boundary!r} is no boundary")
    elif any(b"--" + boundary.encode("ascii") in text for text in texts):
        raise LocalProtocolError("The boundary occurs in a part")
    mark = b"--" + boundary.encode("ascii")
    body = b"".join([b"".join((mark, b"\r\n", text, b"\r\n")) for text in texts]) + mark + b"--\r\n"
    shown = [(name, quote(value or "")) for name, value in params]
    shown.append(("boundary", boundary if is_token(boundary) else quote(boundary)))
    content_type = f"multipart/{subtype}" + "".join([f";{name}={value}" for name, value in shown])
    return content_type, body


def _part_text(part: BodyPart) -> bytes:
    body = part.body
    media_type = str(part.content_type)
    if part.parts:
        kept = [(name, unquote(value)) for name, value in _plain(part.content_type)]
        media_type, body = build_multipart(part.parts, part.content_type.subtype, kept)
    lines = ["Content-Transfer-Encoding: binary"]
    if part.content_id:
        lines.append(f"Content-ID: <{part.content_id}>")
    lines.append(f"Content-Type: {media_type}")
    if part.disposition is not None:
        lines.append(f"Content-Disposition: {part.disposition}")
    lines += [f"{name}: {value}" for name, value in part.headers]
    for line in lines:
        check_value(line)
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def _plain(content_type: MediaType) -> Iterable[tuple[str, str]]:
    return [(name, value or "") for name, value in content_type.params.items() if name.lower() != "boundary"]


def _unused_boundary(texts: list[bytes]) -> str:
    """Return a boundary that depends on nothing but *texts*: the same body is the same bytes each time."""
    digest = hashlib.blake2b(digest_size=12)
    for text in texts:
        digest.update(text)
    while True:
        boundary = digest.hexdigest()
        if not any(boundary.encode("ascii") in text for text in texts):
            return boundary
        digest.update(b"!")
