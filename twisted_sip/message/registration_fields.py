"""Contact with the parameters that registrations and dialogs give it.

RFC 3261 sections 10.2 and 20.10 (q, expires), RFC 5626 section 4.1 (+sip.instance, reg-id, ob), RFC 5627 section 4.2
(pub-gruu, temp-gruu), RFC 3840 section 9 (feature parameters).
"""

from __future__ import annotations

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.capabilities import Feature, features_of
from twisted_sip.message.grammar import Params, quote
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.numeric_fields import check_seconds, parse_delta_seconds
from twisted_sip.message.parameterized import Parameters, format_quality, make_params, named, parameter, parse_quality
from twisted_sip.message.uri import SIPURI, URI

#: What a Contact lasts whose expires parameter makes no sense, in seconds (RFC 3261 sections 8.3 and 10.2).
MALFORMED_EXPIRES = 3600
#: The greatest reg-id (RFC 5626 section 10).
MAX_REG_ID = (1 << 31) - 1

_parse_address = named("Contact", NameAddr.parse)


class ContactParam:
    """One element of Contact: an address with parameters, or ``*``.

    :ivar address: the address, None for ``*``.
    """

    __slots__ = ("address",)

    def __init__(self, address: NameAddr | None) -> None:
        """Wrap *address*, None for ``*``."""
        self.address = address

    @classmethod
    def parse(cls, text: str) -> ContactParam:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        text = text.strip(" \t")
        return cls(None if text == "*" else _parse_address(text))

    @classmethod
    def build(
        cls,
        uri: URI | str,
        display_name: str = "",
        *,
        q: int | None = None,
        expires: int | None = None,
        instance: str = "",
        reg_id: int | None = None,
        params: Parameters = (),
    ) -> ContactParam:
        """Return a Contact to send.

        :param q: thousandths, from 0 to 1000.
        :param expires: seconds.
        :param instance: the instance-id without angle brackets, ``urn:uuid:...`` (RFC 5626 section 4.1).
        :param reg_id: from 1 to 2**31-1.
        :raises LocalProtocolError: a number out of range or a value that cannot be sent.
        """
        made: list[tuple[str, str | None]] = []
        if q is not None:
            made.append(("q", format_quality(q)))
        if expires is not None:
            made.append(("expires", str(check_seconds(expires, "Contact expires"))))
        if instance:
            if "<" in instance or ">" in instance:
                raise LocalProtocolError(f"{instance!r} is no instance-id: it goes without angle brackets")
            made.append(("+sip.instance", f"<{instance}>"))
        if reg_id is not None:
            if not 0 < reg_id <= MAX_REG_ID:
                raise LocalProtocolError(f"{reg_id} is no reg-id: 1 to 2**31-1")
            made.append(("reg-id", str(reg_id)))
        made.extend(params)
        return cls(NameAddr.build(uri, display_name, make_params(made).items()))

    @property
    def star(self) -> bool:
        """True for ``*``: all bindings (RFC 3261 section 10.2.2)."""
        return self.address is None

    @property
    def params(self) -> Params:
        """The parameters of the header field, none for ``*``."""
        return Params() if self.address is None else self.address.params

    @property
    def q(self) -> int:
        """The preference in thousandths, 1000 where it is missing or makes no sense."""
        return parse_quality(self.params.get("q"))

    @property
    def expires(self) -> int | None:
        """The expiry in seconds, None where it is missing; 3600 for nonsense, as RFC 3261 section 10.2 wants."""
        text = self.params.get("expires")
        if text is None:
            return MALFORMED_EXPIRES if "expires" in self.params else None
        try:
            return parse_delta_seconds(text, "Contact")
        except RemoteProtocolError:
            return MALFORMED_EXPIRES

    @property
    def instance(self) -> str:
        """The instance-id without quotes and angle brackets, empty if there is none (RFC 5626 section 4.1)."""
        text = parameter(self.params, "+sip.instance")
        return text[1:-1] if text.startswith("<") and text.endswith(">") else text

    @property
    def reg_id(self) -> int | None:
        """The reg-id, None where it is missing (RFC 5626 section 4.2).

        :raises RemoteProtocolError: it is no number from 1 to 2**31-1.
        """
        text = self.params.get("reg-id")
        if text is None:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= MAX_REG_ID:
            return int(text)
        raise RemoteProtocolError("Malformed Contact header field: bad reg-id", header="Contact")

    @property
    def outbound(self) -> bool:
        """True if the URI has the ``ob`` parameter (RFC 5626 section 4.3)."""
        return self.address is not None and isinstance(self.address.uri, SIPURI) and "ob" in self.address.uri.params

    @property
    def pub_gruu(self) -> str:
        """The public GRUU as text, empty if there is none (RFC 5627 section 4.2)."""
        return parameter(self.params, "pub-gruu")

    @property
    def temp_gruu(self) -> str:
        """The temporary GRUU as text, empty if there is none (RFC 5627 section 4.2)."""
        return parameter(self.params, "temp-gruu")

    @property
    def features(self) -> dict[str, Feature]:
        """The feature parameters by tag (RFC 3840 section 9).

        :raises RemoteProtocolError: one is malformed.
        """
        return features_of(self.params)

    def with_expires(self, seconds: int) -> str:
        """Return this Contact as text with an expiry of *seconds*, as a 200 to REGISTER lists it (section 10.3 step 8).

        :raises LocalProtocolError: the seconds are out of range.
        """
        return self._with("expires", str(check_seconds(seconds, "Contact expires")))

    def with_pub_gruu(self, gruu: str) -> str:
        """Return this Contact as text with the public GRUU *gruu* (RFC 5627 section 4.2).

        :raises LocalProtocolError: CR, LF or NUL stands in it.
        """
        return self._with("pub-gruu", quote(gruu))

    def _with(self, name: str, value: str) -> str:
        address = self.address
        if address is None:
            raise LocalProtocolError("* has no parameters")
        return str(address.with_(name, value))

    def __str__(self) -> str:
        return "*" if self.address is None else str(self.address)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, ContactParam) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<ContactParam {self}>"
