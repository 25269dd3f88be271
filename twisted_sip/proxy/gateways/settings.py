"""What can be set of gateways: each one, and how all of them are watched."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True, kw_only=True)
class Gateway:
    """One gateway: a ``[[gateway]]`` of the configuration.

    :ivar group: the name of the group that it belongs to.
    :ivar uri: where it is. Requests go to it with their own user part, and the host, port and parameters of this.
    :ivar name: what people call it; the URI if it is empty.
    :ivar priority: those with the lowest number are tried first, as in RFC 2782.
    :ivar weight: its share of the requests among those of the same priority.
    :ivar enabled: whether it is used at all.
    :ivar max_calls: the most calls that it carries, 0 for no limit. One more goes to the next gateway.
    :ivar inbound: requests from its addresses to users of ours are let in though those of others are not.
    :ivar probe_interval: seconds between two probes in place of those of ``[gateways]``, 0 for none.
    """

    group: str = attrs.field(metadata={"help": 'the group that it belongs to: `to = "gateway:GROUP"` leads there'})
    uri: str = attrs.field(
        metadata={"help": "where it is, as `sip:gw1.example.net;transport=tcp`; requests bring their own user part"}
    )
    name: str = attrs.field(default="", metadata={"help": "what it is called", "shown_default": "the URI"})
    priority: int = attrs.field(
        default=10,
        validator=[attrs.validators.ge(0), attrs.validators.le(65535)],
        metadata={"help": "gateways with a lower number are tried first"},
    )
    weight: int = attrs.field(
        default=1,
        validator=[attrs.validators.ge(0), attrs.validators.le(65535)],
        metadata={"help": "its share of the requests among those of its priority; 0 where the others fail"},
    )
    enabled: bool = attrs.field(default=True, metadata={"help": "send requests there"})
    max_calls: int = attrs.field(
        default=0,
        validator=[attrs.validators.ge(0), attrs.validators.le(1_000_000)],
        metadata={"help": "the most calls that it carries at a time, 0 for no limit; others go to the next gateway"},
    )
    inbound: bool = attrs.field(
        default=False,
        metadata={"help": "let it call your users, from the addresses it is known by, even without `foreign_callers`"},
    )
    probe_interval: float | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.ge(0.0), attrs.validators.le(3600.0)]),
        metadata={"help": "seconds between two probes of it, 0 for none", "shown_default": "that of `[gateways]`"},
    )

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.uri


@attrs.frozen(slots=True, kw_only=True)
class GatewaysSettings:
    """How gateways are watched and when the next one is tried: ``[gateways]``.

    :ivar no_response: seconds in which the first response has to come, before the next gateway is tried.
    :ivar failover: statuses after which the next gateway is tried.
    :ivar probe_interval: seconds between two OPTIONS to a gateway, 0 for none.
    :ivar probe_again: the same while it does not work.
    :ivar probe_timeout: seconds in which the answer to a probe has to come.
    :ivar failures: so many probes without an answer in a row, and it is down.
    :ivar max_call_time: seconds after which a call whose end was not seen is not counted any more.
    :ivar hold: seconds for which a gateway that has failed a request is tried last, unless a probe says that it lives.
    """

    no_response: float = attrs.field(
        default=3.0,
        validator=[attrs.validators.ge(0.0), attrs.validators.le(32.0)],
        metadata={"help": "seconds for the first response, before the next gateway is tried; 0 waits 32 s"},
    )
    failover: tuple[int, ...] = attrs.field(
        default=(408, 500, 502, 503, 504),
        validator=attrs.validators.deep_iterable(
            attrs.validators.and_(attrs.validators.ge(300), attrs.validators.le(599))
        ),
        metadata={"help": "statuses (300 to 599) after which the next gateway is tried"},
    )
    probe_interval: float = attrs.field(
        default=30.0,
        validator=[attrs.validators.ge(0.0), attrs.validators.le(3600.0)],
        metadata={"help": "seconds between two OPTIONS to each gateway, 0 for none"},
    )
    probe_again: float = attrs.field(
        default=5.0,
        validator=[attrs.validators.ge(1.0), attrs.validators.le(3600.0)],
        metadata={"help": "the same for a gateway that does not work, where it is less"},
    )
    probe_timeout: float = attrs.field(
        default=4.0,
        validator=[attrs.validators.gt(0.0), attrs.validators.le(32.0)],
        metadata={"help": "seconds for the answer to a probe"},
    )
    failures: int = attrs.field(
        default=2,
        validator=[attrs.validators.ge(1), attrs.validators.le(100)],
        metadata={"help": "probes without an answer, one after the other, until a gateway is down"},
    )
    hold: float = attrs.field(
        default=30.0,
        validator=[attrs.validators.ge(0.0), attrs.validators.le(3600.0)],
        metadata={"help": "seconds for which a gateway that has failed a request is tried last, if no probe answers"},
    )
    max_call_time: float = attrs.field(
        default=14_400.0,
        validator=[attrs.validators.ge(60.0), attrs.validators.le(604_800.0)],
        metadata={"help": "seconds after which a call whose end was not seen does not count for `max_calls` any more"},
    )
