"""Bindings of addresses-of-record and the store that keeps them (RFC 3261 section 10, RFC 3327, 5626, 5627)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface


@attrs.frozen(slots=True, kw_only=True)
class Binding:
    """One contact of one address-of-record.

    :ivar aor: the canonical address-of-record, ``sip:user@host``.
    :ivar key: what makes the binding itself within its AOR: ``instance|reg-id`` with Outbound (RFC 5626 section 6),
        else the contact URI in canonical form.
    :ivar contact: the contact URI as registered.
    :ivar call_id: the Call-ID of the REGISTER that made it.
    :ivar cseq: the CSeq number of that REGISTER.
    :ivar expires_at: end of life, seconds since the epoch.
    :ivar q: preference in thousandths, 0 to 1000.
    :ivar params: Contact header field parameters other than q and expires, as text with leading semicolon, or empty.
    :ivar path: the Path values, topmost first, each as it stood (RFC 3327).
    :ivar instance: the ``+sip.instance`` value without quotes, or empty.
    :ivar reg_id: the ``reg-id`` (RFC 5626), 0 if there is none.
    :ivar flow: the token of the flow over which the REGISTER came (see Flow.token), or empty.
    :ivar received: the source address of the REGISTER as ``transport:host:port`` for people to read.
    :ivar user_agent: the User-Agent of the REGISTER.
    :ivar registered_at: seconds since the epoch.
    :ivar node: the node and worker that hold the flow.
    :ivar series: what names the unbroken series of registrations of its instance under one Call-ID, or empty: the
        temporary GRUUs that were given out in it are good for as long as it lasts (RFC 5627 sections 5.1 and 5.3). It
        is ``cseq.random``: the CSeq number that it began with comes first.
    :ivar push: ``pn-provider pn-param pn-prid`` of the contact, parted by spaces, where the device is to be woken
        before requests go there (RFC 8599), or empty.
    """

    aor: str
    key: str
    contact: str
    call_id: str
    cseq: int
    expires_at: float
    q: int = 1000
    params: str = ""
    path: tuple[str, ...] = ()
    instance: str = ""
    reg_id: int = 0
    flow: str = ""
    received: str = ""
    user_agent: str = ""
    registered_at: float = 0.0
    node: str = ""
    series: str = ""
    push: str = ""


class _Open(Binding):
    """A binding that is being made, so that its attributes can be set, which costs a fifth of what frozen ones cost."""

    __slots__ = ()
    # Both, or none is taken for the plain one that the interpreter has a short way for.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def make_binding(
    aor: str,
    key: str,
    contact: str,
    call_id: str,
    cseq: int,
    expires_at: float,
    q: int,
    params: str,
    path: tuple[str, ...],
    instance: str,
    reg_id: int,
    flow: str,
    received: str,
    user_agent: str,
    registered_at: float,
    node: str,
    series: str = "",
    push: str = "",
) -> Binding:
    """Return what Binding(...) does, for those who make thousands a second."""
    made = _Open.__new__(_Open)
    made.aor = aor  # type: ignore[misc]
    made.key = key  # type: ignore[misc]
    made.contact = contact  # type: ignore[misc]
    made.call_id = call_id  # type: ignore[misc]
    made.cseq = cseq  # type: ignore[misc]
    made.expires_at = expires_at  # type: ignore[misc]
    made.q = q  # type: ignore[misc]
    made.params = params  # type: ignore[misc]
    made.path = path  # type: ignore[misc]
    made.instance = instance  # type: ignore[misc]
    made.reg_id = reg_id  # type: ignore[misc]
    made.flow = flow  # type: ignore[misc]
    made.received = received  # type: ignore[misc]
    made.user_agent = user_agent  # type: ignore[misc]
    made.registered_at = registered_at  # type: ignore[misc]
    made.node = node  # type: ignore[misc]
    made.series = series  # type: ignore[misc]
    made.push = push  # type: ignore[misc]
    # Sealed from here on: the same object with the layout of its base class.
    made.__class__ = Binding  # type: ignore[assignment]
    return made


@attrs.frozen(slots=True)
class LocationChange:
    """An atomic change of the bindings of one address-of-record.

    :ivar aor: the canonical address-of-record.
    :ivar put: bindings to add or replace, by key.
    :ivar remove: keys of bindings to drop.
    """

    aor: str
    put: tuple[Binding, ...] = ()
    remove: tuple[str, ...] = ()


class ILocationStore(Interface):
    """Keeps bindings. Every implementation passes ``twisted_sip.testing.location_contract``."""

    def lookup(aor: str) -> Sequence[Binding] | Deferred[Sequence[Binding]]:
        """Return the unexpired bindings of *aor*, in the order in which they were first made; a value where it is in
        memory.

        Changes that were committed but are not durable yet are seen.

        :raises StoreError: the store cannot be read.
        """

    def commit(change: LocationChange) -> Deferred[None]:
        """Apply *change* at once for look-ups, all or nothing, and make it durable.

        The Deferred fires with None once the change would survive a crash of the process; commits of one AOR become
        durable in the order of the calls. On failure it fires with StoreError and look-ups show the state before.

        A store may offer the same without a Deferred, as ``commit_then(change, done)``: *done* is called once, with
        None or the Failure, before or after the call returns. The registrar uses that where it is there.
        """

    def observe(observer: Callable[[LocationChange], None]) -> Callable[[], None]:
        """Call *observer* with every change that became durable, and with one for each expiry; return what ends it."""

    def bindings() -> Iterable[Binding] | Deferred[Iterable[Binding]]:
        """Return every unexpired binding of every AOR, for listings."""

    def close() -> Deferred[None]:
        """Flush and release what is held; fires with None."""
