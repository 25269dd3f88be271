"""A server with metrics: what is scraped, that each number of the status page is among it, and the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from twisted_sip import __version__
from twisted_sip.console.metric_table import BY_COUNT, METRICS, TRANSACTIONS
from twisted_sip.interfaces.accounting import CallRecord
from twisted_sip.tap import metrics_part
from twisted_sip.tap.composition import Server
from twisted_sip.tap.configuration import Configuration, overridden, read
from twisted_sip.tap.making import watching_parts
from twisted_sip.tap.metrics_part import MetricsPart
from twisted_sip.testing.network import Network
from twisted_sip.testing.peer import Peer

from .threadless import without_threads

HOST = "192.0.2.1"
ROOT = Path(__file__).parents[2]
TEXT = """
[metrics]
enabled = true
listen = ["tcp:9464:interface=192.0.2.1"]
[[gateway]]
group = "berlin"
name = "one"
uri = "sip:192.0.2.50"
[[gateway]]
group = "berlin"
uri = "sip:192.0.2.51"
enabled = false
[hep]
server = "192.0.2.9:9060"
"""


class Stage:
    """A server on a simulated network, its metrics, and a capture server."""

    def __init__(self, directory: Path, text: str = TEXT) -> None:
        self.directory = directory
        self.network = Network(3)
        self.network.clock.advance(1_800_000_000.0)
        self.alice = Peer(self.network.node("192.0.2.11"))
        configuration = self.settings(text)
        self.parts = watching_parts(configuration)
        self.server = Server(self.network.node(HOST), configuration, parts=self.parts)
        self.server.startService()
        self.network.advance(1)

    def settings(self, text: str) -> Configuration:
        return overridden(
            read(text, "sip.toml", self.directory), domains=["example.com"],
            listen=[f"udp:5060:interface={HOST}", f"tls:5061:interface={HOST}"], state_dir=str(self.directory),
            xcap=["off"],
        )  # fmt: skip

    def send(self, method: str, uri: str = "sip:bob@example.com") -> None:
        self.alice.send(
            f"{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bK{method}\nMax-Forwards: 70\n"
            f"From: <sip:a@elsewhere.example>;tag=1\nTo: <{uri}>\nCall-ID: {method}\nCSeq: 1 {method}\n\n",
            (HOST, 5060),
        )
        self.network.advance(1)

    @property
    def metrics(self) -> MetricsPart:
        return next(part for part in self.parts if isinstance(part, MetricsPart))

    def get(self, path: str = "/metrics") -> tuple[str, str]:
        """Ask for *path*; return the status line and the body."""
        assert self.metrics.web is not None
        (port,) = self.metrics.web.ports.values()
        protocol = port.factory.buildProtocol(None)
        transport: Any = StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        self.network.advance(0.1)
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        return head.split("\r\n")[0].split(" ", 1)[1], body

    def scraped(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Return every sample by its name and the values of its labels."""
        self.network.advance(1)
        status, body = self.get()
        assert status == "200 OK"
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(body):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found

    def stop(self) -> None:
        done = self.server.stopService()
        self.network.advance(40)
        assert done.called


@pytest.fixture
def on_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    """Makes servers. Threads would need the time of the world, and the control socket a real one."""
    without_threads(monkeypatch)
    made: list[Stage] = []

    def make(**how: Any) -> Stage:
        made.append(Stage(tmp_path, **how))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def stage(on_stage: Callable[..., Stage]) -> Stage:
    return on_stage()


def test_what_is_scraped(stage: Stage) -> None:
    # Before its probe has failed.
    assert stage.scraped()["twisted_sip_gateway_up"] == {("one", "berlin"): 1.0, ("sip:192.0.2.51", "berlin"): 0.0}
    stage.send("OPTIONS", "sip:example.com")
    stage.send("MESSAGE", "sip:nobody@example.com")
    stage.send("UNHEARDOF", "sip:nobody@example.com")
    found = stage.scraped()
    assert found["twisted_sip_info"] == {(__version__,): 1.0}
    assert found["twisted_sip_start_time_seconds"][()] == pytest.approx(1_800_000_000.0, abs=5)
    requests = found["twisted_sip_requests_total"]
    assert (requests[("in", "OPTIONS", "udp")], requests[("in", "other", "udp")]) == (1.0, 1.0)
    assert found["twisted_sip_responses_total"][("out", "200", "udp")] == 1.0
    # The probe of the gateway that is enabled.
    assert requests[("out", "OPTIONS", "udp")] >= 1.0
    assert found["twisted_sip_gateway_up"] == {("one", "berlin"): 0.0, ("sip:192.0.2.51", "berlin"): 0.0}
    assert found["twisted_sip_bindings"] == {(): 0.0}
    (end,) = found["twisted_sip_certificate_expiry_time_seconds"].values()
    assert end > 1_800_000_000.0
    assert found["twisted_sip_hep_exported_total"][()] >= 6.0
    assert "process_resident_memory_bytes" in found


def test_what_has_not_happened_yet_is_counted_from_the_first_time_on(stage: Stage) -> None:
    before = stage.scraped()
    results = ("answered", "refused", "cancelled", "failed", "interrupted")
    assert before["twisted_sip_calls_ended_total"] == {(result,): 0.0 for result in results}
    for metric in METRICS:
        if metric.kind == "counter" and metric.counted_as:
            assert before[metric.full_name] == {(): 0.0}, metric.name
    counts = stage.server.counts
    stage.server.counts = lambda: {**counts(), "call records lost": 1}  # type: ignore[method-assign]
    assert stage.scraped()["twisted_sip_call_records_lost_total"] == {(): 1.0}


def test_calls_are_counted_when_they_are_over(stage: Stage) -> None:
    calls = stage.metrics.calls
    begun = CallRecord(id="1", caller="sip:a@b", callee="sip:c@d", set_up=100.0, ringing=100.3, answered=104.0)
    calls.answered(begun)
    calls.ended(CallRecord(**{**_fields(begun), "ended": 124.0, "result": "answered"}))
    calls.ended(CallRecord(id="2", caller="sip:a@b", callee="sip:c@d", set_up=1.0, ended=2.0, result="refused"))
    found = stage.scraped()
    ended = found["twisted_sip_calls_ended_total"]
    assert ended == {
        ("answered",): 1.0,
        ("refused",): 1.0,
        ("cancelled",): 0.0,
        ("failed",): 0.0,
        ("interrupted",): 0.0,
    }
    assert found["twisted_sip_call_duration_seconds_sum"] == {(): 20.0}
    durations = found["twisted_sip_call_duration_seconds_bucket"]
    assert (durations[("15.0",)], durations[("30.0",)], durations[("+Inf",)]) == (0.0, 1.0, 1.0)
    setups = found["twisted_sip_call_setup_seconds_bucket"]
    assert (setups[("0.25",)], setups[("0.5",)]) == (0.0, 1.0)


def _fields(record: CallRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in CallRecord.__slots__ if not name.startswith("__")}


def test_nothing_else_is_served(stage: Stage) -> None:
    assert stage.get("/")[0] == "404 Not Found"
    assert stage.get("/metrics/more")[0] == "404 Not Found"


def test_scrapes_leave_no_lines_in_the_log(stage: Stage) -> None:
    lines: list[str] = []

    def seen(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(seen)
    try:
        stage.get()
        stage.get("/nothing")
    finally:
        globalLogPublisher.removeObserver(seen)
    assert not [line for line in lines if "GET" in line]


def test_who_asks_too_often_gets_the_same_again(stage: Stage) -> None:
    first = stage.get()[1]
    assert stage.get()[1] == first
    stage.network.advance(1)
    stage.send("OPTIONS", "sip:example.com")
    assert stage.get()[1] != first


def test_the_capture_server_may_change(stage: Stage) -> None:
    stage.server.reread = lambda: stage.settings(TEXT.replace("192.0.2.9:9060", "192.0.2.10:9070"))
    report = stage.server.reload()
    assert [change.key for change in report.changed] == ["hep.server"]
    stage.network.advance(1)
    homer = Peer(stage.network.node("192.0.2.10"), 9070)
    stage.send("OPTIONS", "sip:example.com")
    assert homer.arrivals[-1].data.startswith(b"HEP3")
    stage.server.reread = lambda: stage.settings(TEXT.replace('server = "192.0.2.9:9060"', ""))
    stage.server.reload()
    count = len(homer.arrivals)
    stage.send("OPTIONS", "sip:example.com")
    assert len(homer.arrivals) == count
    assert "twisted_sip_hep_exported_total" not in stage.scraped()


def test_every_number_of_the_status_page_is_a_metric(stage: Stage) -> None:
    assert {name for name in stage.server.counts() if not name.startswith(TRANSACTIONS)} <= set(BY_COUNT)


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "docs" / "howto" / "grafana-dashboard.json").read_text())
    used = set(re.findall(r"twisted_sip_\w+", json.dumps(dashboard)))
    known = {metric.full_name for metric in METRICS}
    histograms = [metric.full_name for metric in METRICS if metric.kind == "histogram"]
    known |= {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")}
    assert used and used <= known
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")
    # A proxy without presence has no tracker, but records of the calls that are answered.
    (calls,) = [panel for panel in panels if panel["title"] == "Calls in progress"]
    assert calls["targets"][0]["expr"] == "twisted_sip_calls or twisted_sip_calls_answered"


def test_each_metric_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    for metric in METRICS:
        assert f"| `{metric.full_name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)}" in page
        assert metric.meaning in page


def test_of_certificates_for_the_same_names_the_first_to_end_counts() -> None:
    def pair(end: float) -> Any:
        return SimpleNamespace(
            identities=["example.com"],
            certificate=SimpleNamespace(not_valid_after_utc=datetime.fromtimestamp(end, UTC)),
        )

    places = [SimpleNamespace(wanted=SimpleNamespace(tls=SimpleNamespace(pairs=[pair(end)]))) for end in (2e9, 3e9)]
    element: Any = SimpleNamespace(transports=SimpleNamespace(places=places))
    assert [sample[1:] for sample in metrics_part._certificates(element)] == [(("example.com",), 2e9)]
    places.reverse()
    assert [sample[1:] for sample in metrics_part._certificates(element)] == [(("example.com",), 2e9)]
