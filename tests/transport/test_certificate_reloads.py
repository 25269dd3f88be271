"""A thousand certificates, one after the other: connections stay, new ones see the newest, nothing piles up."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from .trickling import MESSAGE, Stage

RELOADS = int(os.environ.get("CERTIFICATE_RELOADS", "1000"))


def contexts() -> int:
    gc.collect()
    return sum(type(each) is SSL.Context for each in gc.get_objects())


def presented(peer: Any) -> bytes:
    certificate = peer.transport.getPeerCertificate()
    return bytes(certificate.to_cryptography().public_bytes(Encoding.DER))


def test_a_thousand_reloads_drop_no_connection(recorder: Any, tmp_path: Path) -> None:
    stage = Stage(recorder, tmp_path)
    peers = [stage.connect(kind, f"198.51.100.{number}") for number in range(1, 6) for kind in ("tls", "tcp")]
    for peer in peers:
        peer.say(MESSAGE)
    # Handshakes that are under way see it through, with the certificate that they began with.
    stage.network.advance(1)
    flows = stage.layer.connections.flows()
    assert len(flows) == len(peers) == len(recorder.requests)
    first = contexts()
    for number in range(1, RELOADS + 1):
        written = stage.renew(f"n{number}.example.com")
        change = stage.layer.relisten(stage.settings, stage.listen, stage.listen)
        assert change.opened == change.closed == []
        change.commit()
        if number % 50 == 0 or number == RELOADS:
            fresh = stage.connect("tls", "198.51.100.99")
            newest = x509.load_pem_x509_certificate(written)
            assert presented(fresh) == newest.public_bytes(Encoding.DER)
            fresh.say(MESSAGE)
            stage.network.advance(0.5)
            transport: Any = fresh.transport
            transport.loseConnection()
            stage.network.advance(0.5)
        else:
            stage.network.advance(0.01)
    before = len(recorder.requests)
    for peer in peers:
        assert peer.closed_at is None
        peer.say(MESSAGE)
    stage.network.advance(1)
    assert len(recorder.requests) == before + len(peers)
    assert stage.layer.connections.flows() == flows
    assert len(stage.layer.listeners) == len(stage.layer.places) == 2
    # Those of the connections, those in use, and what the last client had.
    recorder.requests.clear()
    recorder.closed.clear()
    stage.forget()
    assert contexts() <= first + 4


def test_a_handshake_that_is_under_way(recorder: Any, tmp_path: Path) -> None:
    """The certificate changes between the first flight and the last one."""
    stage = Stage(recorder, tmp_path)
    peer: Any = stage.connect("tls", wait=0.0)
    assert peer.transport is not None
    for _ in range(200):
        stage.network.advance(0.005)
        stage.renew("other.example.com")
        stage.layer.relisten(stage.settings, stage.listen, stage.listen).commit()
        if len(stage.layer.connections) == 1:
            break
    peer.say(MESSAGE)
    stage.network.advance(1)
    assert len(recorder.requests) == 1 and peer.closed_at is None
