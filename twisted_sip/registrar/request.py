"""What a REGISTER asks for: its contacts and options, read and checked on their own (RFC 3261 section 10.3).

Covers steps 2, 6 and 7 as far as they need no bindings, Path (RFC 3327), Outbound (RFC 5626 section 6) and the scheme
rules of RFC 5627 section 5.1 and RFC 5630 section 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.gruu import instance_key
from twisted_sip.message.header_map import HeaderMap, line_value
from twisted_sip.message.limits import SHORT
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.numeric_fields import parse_delta_seconds
from twisted_sip.message.registration_fields import MALFORMED_EXPIRES, ContactParam
from twisted_sip.message.request import Request
from twisted_sip.message.uri import SIPURI, URI
from twisted_sip.registrar.settings import RegistrarSettings

#: How much of a User-Agent is kept.
_USER_AGENT_LENGTH = 256
_NO_TAGS: frozenset[str] = frozenset()
# Contact parameters that a binding does not keep as text: what has a field of its own, and what only we may give.
_OWN_PARAMETERS = frozenset(("q", "expires", "pub-gruu", "temp-gruu"))


class RegistrationRefused(RemoteProtocolError):
    """A REGISTER that is answered with an error.

    :ivar headers: header fields of the answer, as (name, value).
    :ivar key: the key of the configuration that caused it, empty where none did.
    """

    def __init__(
        self, status: int, reason: str = "", *, headers: Iterable[tuple[str, str]] = (), key: str = ""
    ) -> None:
        super().__init__(reason, status=status)
        self.headers = tuple(headers)
        self.key = key


class RequestedContact:
    """One contact that a REGISTER wants bound or unbound.

    :ivar uri: the contact URI.
    :ivar text: the same as text.
    :ivar expires: seconds granted, 0 to unbind.
    :ivar q: preference in thousandths.
    :ivar params: the other parameters as text with leading semicolon.
    :ivar instance: the ``+sip.instance`` value without quotes, or empty.
    :ivar reg_id: the reg-id if Outbound applies, else 0.
    :ivar key: the key of the binding if it is known without looking at the others, else empty.
    :ivar push: Binding.push.
    """

    __slots__ = ("expires", "instance", "key", "params", "push", "q", "reg_id", "text", "uri")

    def __init__(self, address: NameAddr, default_expires: int) -> None:
        """Read one Contact value.

        :raises RemoteProtocolError: its URI or a parameter is malformed.
        """
        self.uri: URI = address.uri
        self.text = address.uri_text
        self.q = 1000
        self.params = self.instance = self.key = self.push = ""
        self.reg_id = 0
        expires: int | None = None
        params = address.params
        if params:
            contact = ContactParam(address)
            expires = contact.expires
            self.q = contact.q
            if "+sip.instance" in params:
                instance = contact.instance
                self.instance = f"<{instance}>" if instance else ""
                self.reg_id = contact.reg_id or 0
            self.params = "".join(
                [
                    f";{name}" if value is None else f";{name}={value}"
                    for name, value in params.items()
                    if name.lower() not in _OWN_PARAMETERS
                ]
            )
        self.expires = default_expires if expires is None else expires

    def bind_to_flow(self) -> None:
        """Let instance and reg-id be the binding (RFC 5626 section 6)."""
        self.key = f"{instance_key(self.instance)}|{self.reg_id}"


class Registration:
    """A REGISTER that is right in itself.

    :ivar contacts: what it wants bound and unbound; empty for a query.
    :ivar star: it wants everything unbound.
    :ivar path: Path values, topmost first.
    :ivar direct: the client is the previous hop: the flow it came over leads to the client.
    :ivar outbound: Outbound was applied (RFC 5626 section 6).
    :ivar supported: the option tags that the client supports or requires.
    :ivar user_agent: the User-Agent, or empty.
    :ivar push: the types of push services to tell of in the answer, in Feature-Caps values (RFC 8599).
    """

    __slots__ = (
        "call_id",
        "contacts",
        "cseq",
        "direct",
        "outbound",
        "path",
        "push",
        "star",
        "supported",
        "user_agent",
    )

    def __init__(
        self, request: Request, settings: RegistrarSettings, is_local_uri: Callable[[URI], bool], aor: str
    ) -> None:
        """Read *request*, a REGISTER for *aor*.

        :raises RegistrationRefused: it cannot be served, whatever the bindings are.
        :raises RemoteProtocolError: a header field is malformed.
        """
        headers = request.headers
        names = headers.names
        lines = headers.lines
        # Asking for what is not there costs more than looking whether it is.
        self.supported = supported_tags(request, settings) if "supported" in names or "require" in names else _NO_TAGS
        self.call_id = request.call_id
        self.cseq = request.cseq.number
        self.user_agent = _user_agent(lines[names.index("user-agent")]) if "user-agent" in names else ""
        self.direct = names.count("via") == 1 and ("," not in lines[names.index("via")] or _is_single(headers, "via"))
        self.outbound = False
        self.star = False
        self.contacts: list[RequestedContact] = []
        self.path: tuple[str, ...] = ()
        self.push: tuple[str, ...] = ()
        if "path" in names:
            self._read_path(headers.elements("path"), settings)
        if "contact" not in names:
            return
        expires_line = lines[names.index("expires")] if "expires" in names else ""
        line = lines[names.index("contact")]
        if len(line) <= SHORT and len(expires_line) <= SHORT and names.count("contact") == 1:
            plain = _plain_contact(line, expires_line, settings.default_expires)
            if (
                plain is not None
                and settings.min_expires <= plain.expires <= settings.max_expires
                and not is_local_uri(plain.uri)
            ):
                # The usual REGISTER of one phone, of which nothing more has to be asked.
                self.contacts = [plain]
                return
        expires = _header_expires(expires_line) if expires_line else None
        if _may_have_star(headers) and request.contact_star:
            # Section 10.3 step 6: alone, and to the end of everything.
            if request.contacts or headers.elements("contact").count("*") > 1 or expires != 0:
                raise RegistrationRefused(400, "Contact * must stand alone with Expires: 0")
            self.star = True
            return
        default = settings.default_expires if expires is None else expires
        self.contacts = [RequestedContact(address, default) for address in request.contacts]
        flows = [contact for contact in self.contacts if contact.reg_id]
        if flows:
            self._apply_outbound(flows, settings)
        for contact in self.contacts:
            if contact.expires:
                if not settings.min_expires <= contact.expires <= settings.max_expires:
                    self._check_interval(contact, settings)
                self._check_uri(contact, request, settings, is_local_uri, aor)

    def _read_path(self, values: list[str], settings: RegistrarSettings) -> None:
        # RFC 3327 section 5.3: a proxy has put it there and the client does not know.
        if "path" not in self.supported and not settings.path_without_support:
            raise RegistrationRefused(420, headers=(("unsupported", "path"),), key="registrar.path_without_support")
        for value in values:
            _read_path_value(value)
        self.path = tuple(values)

    def _apply_outbound(self, flows: list[RequestedContact], settings: RegistrarSettings) -> None:
        if not settings.outbound:
            applies = False
        elif self.direct:
            applies = True
        else:
            # RFC 5626 section 6. Each proxy puts its URI on top, so the URI of the first hop is the last one.
            applies = bool(self.path) and _has_ob(self.path[-1])
            if not applies and "outbound" in self.supported:
                raise RegistrationRefused(439, "First Hop Lacks Outbound Support", key="registrar.outbound")
        if not applies:
            for contact in flows:
                contact.reg_id = 0
            return
        if sum(1 for contact in self.contacts if contact.expires) > 1 and any(contact.expires for contact in flows):
            raise RegistrationRefused(400, "Contact with reg-id must be the only one that is registered")
        self.outbound = True
        for contact in flows:
            contact.bind_to_flow()

    def _check_interval(self, contact: RequestedContact, settings: RegistrarSettings) -> None:
        # Section 10.3 step 7: greater than zero, smaller than one hour, less than the minimum.
        if contact.expires < settings.min_expires and contact.expires < 3600:
            raise RegistrationRefused(
                423, headers=(("min-expires", str(settings.min_expires)),), key="registrar.min_expires"
            )
        if contact.expires > settings.max_expires:
            contact.expires = settings.max_expires

    def _check_uri(
        self,
        contact: RequestedContact,
        request: Request,
        settings: RegistrarSettings,
        is_local_uri: Callable[[URI], bool],
        aor: str,
    ) -> None:
        uri = contact.uri
        if not isinstance(uri, SIPURI):
            if contact.instance:
                # RFC 5627 section 5.1.
                raise RegistrationRefused(403, "Contact with +sip.instance must be a SIP URI")
            return
        if is_local_uri(uri) and not uri.headers:
            # RFC 5627 section 5.1 forbids the address-of-record and its GRUUs; both would make requests come back here.
            # Other addresses of ours can make them go in circles, which is how RFC 5393's attack begins. A URI with
            # header fields equals none of them (section 19.1.4): it is kept and given out (RFC 4475 section 3.3.14),
            # but where it leads back here the proxy does not follow it.
            # Whose a temporary GRUU is nobody can see in it.
            never = uri.address_of_record == aor or uri.params.get("gr", "-") in (None, "")
            if never or not settings.local_contacts:
                key = "" if never else "registrar.local_contacts"
                raise RegistrationRefused(403, "Contact points back to this server", key=key)
        if uri.secure:
            # RFC 5630 section 5.2: Request-URI, Contact and Path; From and To do not matter.
            target = request.uri
            if not (isinstance(target, SIPURI) and target.secure):
                raise RegistrationRefused(400, "sips Contact needs a sips Request-URI")
            if not all(_read_path_value(value).secure for value in self.path):
                raise RegistrationRefused(400, "sips Contact needs a Path of sips URIs")


@lru_cache(maxsize=4096)
def _plain_contact(line: str, expires_line: str, default_expires: int) -> RequestedContact | None:
    """Return the contact in *line* if it is the usual one: alone, in good order, a sip URI, without an instance.

    Nobody changes what this returns, since it may be asked for again: most phones say the same each time.
    """
    text = line_value(line)
    if not text or "," in text or "*" in text:
        return None
    try:
        contact = RequestedContact(
            NameAddr.parse(text), _header_expires(expires_line) if expires_line else default_expires
        )
    except RemoteProtocolError:
        return None
    if contact.instance or contact.reg_id or not isinstance(contact.uri, SIPURI) or contact.uri.secure:
        return None
    if "pn-provider" in contact.uri.params:
        # What becomes of it depends on more than its text (RFC 8599).
        return None
    return contact


def supported_tags(request: Request, settings: RegistrarSettings) -> frozenset[str]:
    """Return the option tags that the client supports or requires.

    :raises RegistrationRefused: 420, one that is required is not ours (section 8.2.2.3).
    """
    headers = request.headers
    supported = _NO_TAGS
    if "supported" in headers.names:
        supported = supported.union(*map(_tags, headers.all("supported")))
    if "require" in headers.names:
        required = headers.elements("require")
        unknown = [tag for tag in required if not _is_ours(tag.lower(), settings)]
        if unknown:
            # The one that can be switched off.
            key = "registrar.outbound" if [tag.lower() for tag in unknown] == ["outbound"] else ""
            raise RegistrationRefused(420, headers=(("unsupported", ", ".join(unknown)),), key=key)
        supported = supported.union(tag.lower() for tag in required)
    return supported


def _is_ours(tag: str, settings: RegistrarSettings) -> bool:
    # RFC 5627 section 5.1: to understand "gruu" is not to give any. RFC 3840 section 6: features are kept.
    return tag in ("path", "gruu", "pref") or (tag == "outbound" and settings.outbound)


@lru_cache(maxsize=256)
def _tags(text: str) -> frozenset[str]:
    return frozenset(tag.strip(" \t").lower() for tag in text.split(","))


def _is_single(headers: HeaderMap, name: str) -> bool:
    """Tell whether the one line called *name* holds one element."""
    return "," not in headers.lines[headers.names.index(name)] or len(headers.elements(name)) == 1


def _may_have_star(headers: HeaderMap) -> bool:
    """Tell whether it is worth looking for a Contact of ``*``."""
    if headers.names.count("contact") > 1:
        return True
    return "*" in headers.lines[headers.names.index("contact")]


def _user_agent(line: str) -> str:
    return _kept_user_agent(line) if len(line) <= SHORT else line_value(line)[:_USER_AGENT_LENGTH]


@lru_cache(maxsize=1024)
def _kept_user_agent(line: str) -> str:
    # Few kinds of phones send most of the requests, each of them one line.
    return line_value(line)[:_USER_AGENT_LENGTH]


def _header_expires(line: str) -> int:
    return _kept_expires(line) if len(line) <= SHORT else _read_expires(line_value(line))


@lru_cache(maxsize=256)
def _kept_expires(line: str) -> int:
    return _read_expires(line_value(line))


def _read_expires(text: str) -> int:
    if len(text) < 10 and text.isdigit() and text.isascii():
        return int(text)
    try:
        return parse_delta_seconds(text, "Expires")
    except RemoteProtocolError:
        # Section 10.2: malformed values are equivalent to 3600.
        return MALFORMED_EXPIRES


def _read_path_value(value: str) -> SIPURI:
    try:
        uri = NameAddr.parse(value).uri
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"Malformed Path header field: {error.reason}", header="Path") from error
    if not isinstance(uri, SIPURI):
        raise RemoteProtocolError("Malformed Path header field: no SIP URI", header="Path")
    return uri


def _has_ob(value: str) -> bool:
    return "ob" in _read_path_value(value).params
