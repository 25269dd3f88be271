"""Makes docs/reference/metrics.md, every metric, from the table in the code; with ``--dashboard`` one for Grafana."""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted_sip.console.metric_table import METRICS

_OPENING = """\
# Metrics

What `[metrics]` serves for Prometheus; see [how to use it](../howto/metrics.md). Numbers of the process (`process_*`)
and of Python (`python_*`) come with it. What a server has not, like gateways without any configured, is left out; what
only grows is there from the start, as 0.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |"""

#: The panels of the dashboard: title, unit, and queries with their legends.
_PANELS = (
    ("Calls in progress", "short", (("twisted_sip_calls or twisted_sip_calls_answered", "calls"),)),
    ("Calls ended", "cps", (("sum by (result) (rate(twisted_sip_calls_ended_total[5m]))", "{{result}}"),)),
    (
        "Answered of all calls", "percentunit",
        (('sum(rate(twisted_sip_calls_ended_total{result="answered"}[15m])) / '
          "sum(rate(twisted_sip_calls_ended_total[15m]))", "answer-seizure ratio"),),
    ),
    (
        "Length of calls", "s",
        (("rate(twisted_sip_call_duration_seconds_sum[15m]) / rate(twisted_sip_call_duration_seconds_count[15m])",
          "average"),),
    ),
    (
        "Time until it rings", "s",
        tuple((f"histogram_quantile({share}, rate(twisted_sip_call_setup_seconds_bucket[5m]))", f"{share:.0%}")
              for share in (0.5, 0.95)),
    ),
    ("Requests in", "reqps",
     (('sum by (method) (rate(twisted_sip_requests_total{direction="in"}[5m]))', "{{method}}"),)),
    ("Responses out", "reqps",
     (('sum by (status) (rate(twisted_sip_responses_total{direction="out"}[5m]))', "{{status}}"),)),
    ("Registered contacts", "short", (("twisted_sip_bindings", "contacts"),)),
    ("Load", "percentunit", (("twisted_sip_load", "load"),)),
    (
        "Refused and shed", "reqps",
        (("rate(twisted_sip_refused_total[5m])", "refused"), ("rate(twisted_sip_shed_total[5m])", "shed"),
         ("twisted_sip_bans", "banned")),
    ),
    ("Transactions", "short", (("twisted_sip_transactions", "{{kind}}"),)),
    ("Connections", "short", (("twisted_sip_connections", "connections"),)),
    ("Gateways", "short", (("twisted_sip_gateway_up", "{{group}} {{gateway}}"),)),
    (
        "Presence", "short",
        (("twisted_sip_subscriptions", "subscriptions"), ("twisted_sip_publications", "publications"),
         ("twisted_sip_notifications_waiting", "NOTIFYs waiting")),
    ),
    ("Days until certificates end", "d",
     (("(twisted_sip_certificate_expiry_time_seconds - time()) / 86400", "{{certificate}}"),)),
    ("CPU", "percentunit", (('rate(process_cpu_seconds_total{job="twisted_sip"}[5m])', "of one core"),)),
    ("Memory", "bytes", (('process_resident_memory_bytes{job="twisted_sip"}', "resident"),)),
)  # fmt: skip


def page() -> str:
    """Return the page as Markdown."""
    rows = []
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.full_name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join([_OPENING, *rows, ""])


def dashboard() -> str:
    """Return the dashboard as JSON."""
    panels: list[dict[str, Any]] = []
    for place, (title, unit, queries) in enumerate(_PANELS):
        panels.append(
            {
                "id": place + 1,
                "type": "timeseries",
                "title": title,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": 8 * (place % 3), "y": 8 * (place // 3), "w": 8, "h": 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
                    for number, (query, legend) in enumerate(queries)
                ],
            }
        )
    found = {
        "title": "twisted_sip",
        "uid": "twisted-sip",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(found, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dashboard() if "--dashboard" in sys.argv else page())
