"""Replaces (RFC 3891) and Referred-By (RFC 3892): which dialog a call takes the place of, and who asked for that."""

from __future__ import annotations

from twisted_sip.errors import LocalProtocolError, RemoteProtocolError
from twisted_sip.message.grammar import NO_PARAMS, Params, check_value, parse_params
from twisted_sip.message.name_addr import NameAddr
from twisted_sip.message.parameterized import Parameters, check_token, make_params, named, parameter, refuse
from twisted_sip.message.text_fields import call_id_field
from twisted_sip.message.uri import URI

_parse_call_id = call_id_field("Replaces")
_parse_replaces_params = named("Replaces", parse_params)
_parse_referrer = named("Referred-By", NameAddr.parse)
_OWN = ("to-tag", "from-tag", "early-only")


class Replaces:
    """Replaces (RFC 3891 section 6.1): the dialog that a new INVITE takes the place of, as its receiver sees it.

    :ivar call_id: the Call-ID, case-sensitive.
    :ivar to_tag: the receiver's own tag in that dialog.
    :ivar from_tag: the tag of the other side; ``0`` matches a peer without tag (RFC 3891 section 3).
    :ivar early_only: whether a dialog that was confirmed meanwhile shall stay.
    :ivar params: the other parameters.
    """

    __slots__ = ("call_id", "early_only", "from_tag", "params", "to_tag")

    def __init__(
        self, call_id: str, to_tag: str, from_tag: str, *, early_only: bool = False, params: Parameters = ()
    ) -> None:
        """Make a value to send.

        :raises LocalProtocolError: a tag is no token, or a value cannot be sent.
        """
        check_value(call_id)
        try:
            self.call_id = _parse_call_id(call_id)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"{call_id!r} is no Call-ID") from error
        self.to_tag = check_token(to_tag, "tag")
        self.from_tag = check_token(from_tag, "tag")
        self.early_only = early_only
        self.params = make_params(params)
        if any(name in self.params for name in _OWN):
            raise LocalProtocolError("tags and early-only have arguments of their own")

    @classmethod
    def parse(cls, text: str) -> Replaces:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed, or has not exactly one to-tag and one from-tag.
        """
        call_id, mark, rest = text.partition(";")
        params = _parse_replaces_params(mark + rest)
        # RFC 3891 section 6.1: exactly one to-tag and exactly one from-tag.
        names = [name.lower() for name, _ in params.items()]
        if names.count("to-tag") != 1 or names.count("from-tag") != 1:
            refuse("Replaces", "one to-tag and one from-tag are required")
        to_tag, from_tag = parameter(params, "to-tag"), parameter(params, "from-tag")
        other = [item for item in params.items() if item[0].lower() not in _OWN]
        try:
            made = cls(_parse_call_id(call_id), to_tag, from_tag, early_only="early-only" in params)
        except LocalProtocolError:
            refuse("Replaces", "bad tag")
        made.params = Params(other) if other else NO_PARAMS
        return made

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}{self.params}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Replaces):
            return NotImplemented
        return self._key() == other._key()

    def _key(self) -> tuple[str, str, str, bool, Params]:
        return self.call_id, self.to_tag, self.from_tag, self.early_only, self.params

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<Replaces {self}>"


class ReferredBy:
    """Referred-By (RFC 3892 section 3).

    :ivar address: the referrer.
    """

    __slots__ = ("address",)

    def __init__(self, address: NameAddr) -> None:
        """Wrap *address*."""
        self.address = address

    @classmethod
    def parse(cls, text: str) -> ReferredBy:
        """Return the value in *text*.

        :raises RemoteProtocolError: it is malformed.
        """
        return cls(_parse_referrer(text))

    @classmethod
    def build(cls, uri: URI | str, display_name: str = "", cid: str = "") -> ReferredBy:
        """Return a value to send.

        :param cid: the Content-ID of the Referred-By token, without angle brackets.
        :raises LocalProtocolError: a value that cannot be sent.
        """
        params: Parameters = make_params([("cid", cid)]).items() if cid else ()
        return cls(NameAddr.build(uri, display_name, params))

    @property
    def cid(self) -> str:
        """The Content-ID of the Referred-By token in the body, empty if there is none."""
        return parameter(self.address.params, "cid")

    def __str__(self) -> str:
        return str(self.address)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, ReferredBy) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"<ReferredBy {self}>"
