"""The sections of the configuration about those who look on: metrics, and copies for a capture server."""

from __future__ import annotations

import importlib.util

import attrs

from twisted_sip.console.settings import HEPSettings
from twisted_sip.interfaces.transport_kind import TCP, TLS
from twisted_sip.tap.constraints import ListenDescriptor, quoted
from twisted_sip.tap.faults import WrongSetting
from twisted_sip.tap.hosts import is_host
from twisted_sip.tap.sections import path_below_root, setting
from twisted_sip.transport.descriptors import parse_descriptor

#: Where metrics are served where nothing is written: for this machine alone.
DEFAULT_METRICS_LISTEN = (ListenDescriptor("tcp:9464:interface=127.0.0.1"),)


@attrs.frozen(kw_only=True)
class MetricsSection:
    """``[metrics]``: numbers about the server for Prometheus."""

    enabled: bool = setting(False, "Serve metrics over HTTP.")
    listen: tuple[ListenDescriptor, ...] = setting(
        (),
        "Where to listen for HTTP (`tcp:9464`) or HTTPS (`tls:9464`), written as in `[server] listen`. Whoever can "
        "reach it can read how much is going on.",
        shown_default="`tcp:9464:interface=127.0.0.1`",
    )
    path: str = setting("/metrics", "The path at which they are.", path_below_root)


def check_metrics(section: MetricsSection) -> None:
    """Refuse metrics without what makes them.

    :raises WrongSetting: naming the key.
    """
    if section.enabled and importlib.util.find_spec("prometheus_client") is None:
        raise WrongSetting(
            "prometheus-client is not installed", 'install it: pip install "twisted-sip[metrics]"', "enabled"
        )
    for place, text in enumerate(section.listen):
        if parse_descriptor(text).kind not in (TCP, TLS):
            raise WrongSetting(
                f"{text}: carries no HTTP", "write tcp:PORT for http or tls:PORT for https", f"listen[{place}]"
            )


def check_hep(settings: HEPSettings) -> None:
    """Refuse a capture server that is no host and port.

    :raises WrongSetting: naming the key.
    """
    if settings.server:
        capture_address(settings.server)


def capture_address(text: str) -> tuple[str, int]:
    """Return host and port of *text*.

    :raises WrongSetting: it is none.
    """
    host, colon, port = text.rpartition(":")
    bare = host.strip("[]")
    if not colon or not is_host(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise WrongSetting(f"{quoted(text)} is no host and port", "write one like homer.example.com:9060", "server")
    return bare, int(port)
