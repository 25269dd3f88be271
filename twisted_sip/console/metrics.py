"""The metrics of a server in the format of Prometheus, gathered when somebody asks.

Counting on the path of messages is :mod:`twisted_sip.console.message_counts`; all else is looked up where it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request

from twisted_sip.console.call_counts import CallCounts, Histogram
from twisted_sip.console.message_counts import MessageCounts
from twisted_sip.console.metric_table import BY_COUNT, BY_NAME, TRANSACTIONS, Metric

#: A metric, the values of its labels, its value.
Sample = tuple[Metric, tuple[str, ...], float]

#: The media type of what is scraped.
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

#: Seconds for which an answer is good: scraping is not to be an attack.
_FRESH = 0.5


class ServerMetrics(Collector):
    """Gathers the samples of one server.

    :param sources: each gives samples.
    :param calls: what calls have come to, None where they are not known.
    """

    def __init__(self, sources: Iterable[Callable[[], Iterable[Sample]]], calls: CallCounts | None = None) -> None:
        self._sources = list(sources)
        self._calls = calls

    def collect(self) -> Iterator[Any]:
        """Give the metric families, as the registry of prometheus_client asks for them."""
        families: dict[str, Any] = {}
        for source in self._sources:
            for metric, labels, value in source():
                family = families.get(metric.name)
                if family is None:
                    family = families[metric.name] = _family(metric)
                family.add_metric(labels, value)
        yield from families.values()
        calls = self._calls
        if calls is not None:
            ended = _family(BY_NAME["calls_ended_total"])
            for result, count in calls.ended_by_result.items():
                ended.add_metric((result,), count)
            yield ended
            yield _histogram(BY_NAME["call_duration_seconds"], calls.durations)
            yield _histogram(BY_NAME["call_setup_seconds"], calls.setups)


def _family(metric: Metric) -> Any:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return make(metric.full_name, metric.meaning, labels=metric.labels)


def _histogram(metric: Metric, values: Histogram) -> Any:
    family = HistogramMetricFamily(metric.full_name, metric.meaning)
    family.add_metric((), values.buckets(), values.total)
    return family


def of_counts(counts: Iterable[tuple[str, Any]]) -> Iterator[Sample]:
    """Give the samples of what the status page *counts*.

    What it does not tell since it has not happened is 0 here: Prometheus sees an increase only if there was a number
    before, and the first call record that is lost is to be seen.
    """
    silent = {metric.name: metric for metric in BY_COUNT.values() if metric.kind == "counter"}
    for name, value in counts:
        metric = BY_COUNT.get(name)
        if metric is not None:
            silent.pop(metric.name, None)
            yield metric, (), float(value)
        elif name.startswith(TRANSACTIONS):
            yield BY_NAME["transactions"], (name.removeprefix(TRANSACTIONS),), float(value)
    for metric in silent.values():
        yield metric, (), 0.0


def of_messages(counts: MessageCounts) -> Iterator[Sample]:
    """Give the samples of the messages that were counted."""
    for direction, transport, method, count in counts.requests():
        yield BY_NAME["requests_total"], (direction, transport, method), float(count)
    for direction, transport, status, count in counts.responses():
        yield BY_NAME["responses_total"], (direction, transport, status), float(count)


class MetricsResource(Resource):
    """Answers GET with all metrics, those of the process among them.

    :param metrics: those of the server.
    :param clock: tells how old an answer is.
    """

    isLeaf = True

    def __init__(self, metrics: ServerMetrics, clock: IReactorTime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._clock = clock
        self._text = b""
        self._made = float("-inf")
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        for make in (ProcessCollector, PlatformCollector, GCCollector):
            make(registry=self._registry)

    def render_GET(self, request: Request) -> bytes:
        """Return the metrics as text."""
        if request.postpath not in ([], [b""]):
            request.setResponseCode(http.NOT_FOUND)
            return b"nothing is here, the metrics are one level up\n"
        now = self._clock.seconds()
        if now - self._made >= _FRESH:
            self._text, self._made = generate_latest(self._registry), now
        request.setHeader(b"content-type", CONTENT_TYPE)
        return self._text
