"""Every metric by name, with its meaning: the table of which the reference page is made.

Names follow the rules of Prometheus: one prefix, base units, ``_total`` for what only grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

PREFIX = "twisted_sip_"


@attrs.frozen(slots=True)
class Metric:
    """One metric.

    :ivar name: without the prefix.
    :ivar kind: ``gauge`` for what goes up and down, ``counter`` for what only grows, ``histogram``.
    :ivar meaning: one sentence.
    :ivar labels: the names of its labels.
    :ivar counted_as: what the status page calls it, empty where it is not there.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    counted_as: str = ""

    @property
    def full_name(self) -> str:
        """The name as it is scraped."""
        return PREFIX + self.name


def _refused(name: str, meaning: str, counted_as: str) -> Metric:
    return Metric(name, "counter", meaning, (), counted_as)


def _held(name: str, meaning: str, counted_as: str) -> Metric:
    return Metric(name, "gauge", meaning, (), counted_as)


METRICS: tuple[Metric, ...] = (
    Metric("info", "gauge", "Always 1; the label tells the version.", ("version",)),
    Metric("start_time_seconds", "gauge", "When the server was started, in seconds since the epoch."),
    Metric("requests_total", "counter", "Requests that came in or went out.", ("direction", "transport", "method")),
    Metric("responses_total", "counter", "Responses that came in or went out.", ("direction", "transport", "status")),
    Metric("transactions", "gauge", "Transactions in memory, and what else the layer remembers.", ("kind",)),
    _held("connections", "Open TCP and TLS connections.", "connections"),
    _held("bindings", "Registered contacts.", "bindings"),
    _held("bans", "Sources that are banned for a user, for wrong passwords.", "bans"),
    _refused("refused_total", "Datagrams and connections refused: too many from one source.", "messages refused"),
    _refused("shed_total", "Requests answered 503 because of overload.", "requests shed"),
    _held("load", "How far behind the server is: at 1 it sheds requests.", "load"),
    _held("traced_calls", "Calls whose messages are kept for the trace.", "traced calls"),
    _held("calls", "Calls in progress, ringing ones included: of a b2bua, of a proxy with presence.", "calls"),
    _refused("calls_untracked_total", "Calls not tracked because there were too many.", "calls not tracked"),
    _held("calls_answered", "Calls that are answered and not over, of those that are accounted for.", "answered calls"),
    Metric("calls_ended_total", "counter", "Calls that are over, by their result.", ("result",)),
    Metric("call_duration_seconds", "histogram", "For how long answered calls were talked."),
    Metric("call_setup_seconds", "histogram", "How long it took until the callee rang, or answered."),
    _held("subscriptions", "Subscriptions of watchers.", "subscriptions"),
    _held("list_subscriptions", "Subscriptions to lists.", "list subscriptions"),
    _held("back_end_subscriptions", "Subscriptions elsewhere on behalf of lists.", "back-end subscriptions"),
    _held("publications", "Publications of presence.", "publications"),
    _held("notifications_waiting", "NOTIFYs that are owed to watchers.", "notifications waiting"),
    _held("watchers_undecided", "Watchers about whom users have not decided.", "watchers undecided"),
    _held("requests_waiting", "Requests held until a sleeping device has woken.", "requests waiting for devices"),
    _held("callbacks_waiting", "Call records that wait to be told by HTTP.", "callbacks waiting"),
    _refused("callbacks_lost_total", "Call records that could not be told by HTTP in time.", "callbacks lost"),
    _refused("call_records_lost_total", "Call records that could not be written.", "call records lost"),
    _refused("call_records_late_total", "Answers that went on before their record was written.", "call records late"),
    _refused("call_records_cut_total", "Calls too many to wait for their ends.", "call records cut short"),
    _refused("call_records_not_taken_total", "Call records that a sink did not take.", "call records not taken"),
    _held("gateways", "Gateways configured.", "gateways"),
    _held("gateways_up", "Gateways that answer.", "gateways up"),
    Metric("gateway_up", "gauge", "1 if the gateway takes calls, 0 if it is down or disabled.", ("group", "gateway")),
    _held("media_relays", "Media streams that are relayed.", "media relays"),
    _held("media_packets", "Packets of the streams that are relayed now.", "media packets"),
    Metric("certificate_expiry_time_seconds", "gauge", "When a certificate of ours ends.", ("certificate",)),
    Metric("hep_exported_total", "counter", "Messages copied to the capture server."),
    Metric("hep_dropped_total", "counter", "Messages not copied: too many in a second, or refused by the network."),
)

BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
#: By what the status page calls it.
BY_COUNT: Mapping[str, Metric] = {metric.counted_as: metric for metric in METRICS if metric.counted_as}

#: What the status page calls the tables of the transaction layer.
TRANSACTIONS = "transactions "
