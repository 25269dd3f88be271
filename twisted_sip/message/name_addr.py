"""name-addr and addr-spec with parameters: From, To, Contact, Route and their like (RFC 3261 section 20.10)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import LWS, NO_PARAMS, Params, check_value, end_of_quoted, parse_params, quote, unquote
from twisted_sip.message.hosts import printable
from twisted_sip.message.uri import URI, parse_uri

# Parameters in their ordinary shape: no white space, no quotes, none empty. All else is read at once, to be checked.
_PLAIN_PARAMS = re.compile(r"(?:;[A-Za-z0-9\-.!%*_+`'~]++(?:=[A-Za-z0-9\-.!%*_+`'~:\[\]/?@]*+)?+)*+").fullmatch
# *(token LWS), and beyond ASCII: phones do send such names without quotes.
_DISPLAY_NAME = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ \t\u0080-\U0010ffff]*").fullmatch
_BLANK = re.compile(r"[ \t]+")


class NameAddr:
    """An address with an optional display name and parameters. Treat as immutable.

    :ivar uri_text: the URI as written, without its angle brackets.
    :ivar tag: the tag (section 19.3), an empty string where there is none.
    """

    __slots__ = ("_base", "_display", "_header", "_params", "_params_text", "_text", "_uri", "tag", "uri_text")

    uri_text: str
    tag: str
    _header: str
    _text: str
    _display: str
    _uri: URI | None
    _params_text: str
    _params: Params | None
    # The value without its tag, where that is known.
    _base: NameAddr | None

    @classmethod
    def parse(cls, text: str, header: str = "") -> NameAddr:
        """Parse one value. The URI inside is read when :attr:`uri` is asked for.

        Without angle brackets, what follows a ``;`` belongs to the header field (section 20.10).

        :param header: the header field it stands in, for the errors of :attr:`uri`.
        :raises RemoteProtocolError: it is malformed.
        """
        made = cls.__new__(cls)
        made._header = header
        made._text = text
        made._uri = made._params = made._base = None
        opening = text.find("<")
        quoted = text.find('"')
        if opening >= 0 and (quoted < 0 or quoted > opening):
            display = text[:opening]
            if display and _DISPLAY_NAME(display) is None:
                # RFC 4475 section 3.1.2.15: nobody guesses where the missing quotes belong.
                raise RemoteProtocolError(f"Display name must be quoted in {printable(text)}")
        elif quoted >= 0:
            end = end_of_quoted(text, quoted)
            if text[:quoted].strip(LWS):
                made._parse_addr_spec(text)
                return made
            if end < 0:
                raise RemoteProtocolError(f"Unterminated quoted string in {printable(text)}")
            opening = text.find("<", end)
            if opening < 0 or text[end:opening].strip(LWS):
                raise RemoteProtocolError(f"Malformed address {printable(text)}")
            display = text[quoted:end]
            if "\r" in display or "\n" in display:
                raise RemoteProtocolError(f"Malformed display name in {printable(text)}")
        else:
            made._parse_addr_spec(text)
            return made
        closing = text.find(">", opening)
        uri_text = text[opening + 1 : closing]
        if closing < 0 or not uri_text or " " in uri_text or "\n" in uri_text or "\r" in uri_text:
            raise RemoteProtocolError(f"Malformed address {printable(text)}")
        made._display = display
        made.uri_text = uri_text
        made._take_params(text[closing + 1 :])
        return made

    def _parse_addr_spec(self, text: str) -> None:
        uri_text, semicolon, params = text.partition(";")
        self.uri_text = uri_text = uri_text.strip(LWS)
        # Section 20.10: a URI with a comma, question mark or semicolon must be in angle brackets.
        if "," in uri_text or "?" in uri_text:
            raise RemoteProtocolError(f"URI must be in angle brackets in {printable(text)}")
        self._uri = parse_uri(uri_text)
        self._display = ""
        self._take_params(semicolon + params)

    def _take_params(self, text: str) -> None:
        if _PLAIN_PARAMS(text) is None:
            text = text.strip(LWS)
            if text and text[0] != ";":
                raise RemoteProtocolError(f"Malformed address {printable(self._text)}")
            self._params = parse_params(text)
        self._params_text = text
        self.tag = self._find_tag() if text else ""

    @classmethod
    def build(
        cls,
        uri: URI | str,
        display_name: str = "",
        params: Params | Iterable[tuple[str, str | None]] = (),
    ) -> NameAddr:
        """Return a value of our own, always in angle brackets.

        :param display_name: the name as people read it; quoted here.
        :param params: (name, value) pairs; None is a name without value.
        :raises LocalProtocolError: something in it would not read back as such.
        """
        if not display_name and not params and not isinstance(uri, str):
            # The usual case of _compose(), without the calls.
            made = cls.__new__(cls)
            made._header = made._display = made._params_text = made.tag = ""
            made._uri = uri
            made._base = None
            made.uri_text = text = str(uri)
            made._params = NO_PARAMS
            made._text = f"<{text}>"
            return made
        tail = NO_PARAMS
        for name, value in params.items() if isinstance(params, Params) else params:
            tail = tail.with_(name, value)
        return cls._compose(quote(display_name) if display_name else "", str(uri), _own_uri(uri), tail)

    @classmethod
    def given(cls, value: NameAddr | str) -> NameAddr:
        """Return *value*, which a program gives, read where it is a text.

        :raises LocalProtocolError: it is no address, or CR, LF or NUL stands in it.
        """
        if not isinstance(value, str):
            return value
        check_value(value)
        try:
            made = cls.parse(value)
            _ = made.uri
        except RemoteProtocolError as error:
            raise LocalProtocolError(error.reason) from error
        return made

    @classmethod
    def _compose(cls, display: str, uri_text: str, uri: URI | None, params: Params) -> NameAddr:
        made = cls.__new__(cls)
        made._header = ""
        made._display = display = display.strip(LWS)
        made._uri = uri
        made._base = None
        made.uri_text = uri_text
        made._params = params
        if params is NO_PARAMS:
            made._params_text = made.tag = ""
        else:
            made._params_text = str(params)
            made.tag = params.get("tag") or ""
        space = " " if display else ""
        made._text = f"{display}{space}<{uri_text}>{made._params_text}"
        return made

    @property
    def display_name(self) -> str:
        """The display name as people read it: quotes and escapes taken off; an empty string where there is none."""
        display = self._display
        if display.startswith('"'):
            return unquote(display)
        return _BLANK.sub(" ", display.strip(LWS)) if display else ""

    @property
    def uri(self) -> URI:
        """The URI.

        :raises RemoteProtocolError: it is malformed.
        """
        uri = self._uri
        if uri is None:
            try:
                uri = self._uri = parse_uri(self.uri_text)
            except RemoteProtocolError as error:
                if not self._header:
                    raise
                raise RemoteProtocolError(
                    f"Malformed {self._header} header field: {error.reason}", header=self._header
                ) from error
        return uri

    @property
    def params(self) -> Params:
        """The header field parameters."""
        params = self._params
        if params is None:
            text = self._params_text
            params = self._params = parse_params(text) if text else NO_PARAMS
        return params

    @property
    def has_params(self) -> bool:
        """True if it has header field parameters."""
        return bool(self._params_text)

    def tagged(self, tag: str) -> NameAddr:
        """Return this value, which has no parameters, with the tag of a peer that has been looked at."""
        made = NameAddr()
        made._header = self._header
        made._display = self._display
        made.uri_text = self.uri_text
        made._uri = self._uri
        made._params = None
        made._base = self
        made._params_text = tail = f";tag={tag}"
        made.tag = tag
        made._text = self._text + tail
        return made

    @property
    def untagged(self) -> str:
        """The text of From or To without its tag.

        :raises RemoteProtocolError: the URI is malformed.
        """
        base = self._base
        if base is None:
            base = self.without("tag")
        if base._uri is None:
            _ = self.uri
        return base._text

    def _find_tag(self) -> str:
        if self._params is None:
            # The ordinary shape is ASCII without quotes, so that this finds what the parameters would say.
            text = self._params_text
            start = text.lower().find(";tag=")
            if start < 0:
                return ""
            end = text.find(";", start + 5)
            return text[start + 5 :] if end < 0 else text[start + 5 : end]
        return self._params.get("tag") or ""

    def with_(self, name: str, value: str | None = None) -> NameAddr:
        """Return this value with the parameter *name* set to *value* (None: without a value).

        :raises LocalProtocolError: the name or value would not read back as such.
        """
        return self._compose(self._display, self.uri_text, self._uri, self.params.with_(name, value))

    def without(self, name: str) -> NameAddr:
        """Return this value without the parameter *name*."""
        if name == "tag" and self._base is not None:
            return self._base
        if not self._params_text:
            return self
        if name == "tag" and self._params is None and self._params_text == f";tag={self.tag}":
            # From and To as they usually are.
            return self._compose(self._display, self.uri_text, self._uri, NO_PARAMS)
        params = self.params
        if name not in params:
            return self
        return self._compose(self._display, self.uri_text, self._uri, params.without(name))

    def with_uri(self, uri: URI | str) -> NameAddr:
        """Return this value with another URI.

        :raises LocalProtocolError: *uri* is malformed.
        """
        return self._compose(self._display, str(uri), _own_uri(uri), self.params)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<NameAddr {self._text}>"

    def __eq__(self, other: object) -> bool:
        """Tell whether the text is the same."""
        return self._text == other._text if isinstance(other, NameAddr) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def _own_uri(uri: URI | str) -> URI:
    """Return the caller's *uri*, read.

    :raises LocalProtocolError: it is malformed.
    """
    if not isinstance(uri, str):
        return uri
    try:
        return parse_uri(uri)
    except RemoteProtocolError as error:
        raise LocalProtocolError(error.reason) from error
