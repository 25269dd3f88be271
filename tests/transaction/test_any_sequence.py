"""No sequence of inputs raises or leaves anything behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_sip.errors import LocalProtocolError, TransactionLimitReached, TransportError

METHODS = ["INVITE", "ACK", "CANCEL", "OPTIONS", "BYE"]
STATUSES = [100, 180, 200, 202, 302, 408, 486, 487, 603]
ENDS = ["z9hG4bKa", "z9hG4bKb", "old", ""]

ACTIONS = [
    "request",
    "respond",
    "response",
    "start",
    "cancel",
    "advance",
    "break",
    "mend",
    "hold",
    "release",
    "closed",
    "claim",
    "trying",
    "abandon",
    "reroute",
]
STEP = st.tuples(
    st.sampled_from(ACTIONS),
    st.sampled_from(METHODS),
    st.sampled_from(STATUSES),
    st.sampled_from(ENDS),
    st.booleans(),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 4.0, 5.0, 32.0, 100.0]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=60))
def test_any_sequence(make_stage: Callable[..., Any], steps: list[tuple[str, str, int, str, bool, float]]) -> None:
    stage = make_stage(max_transactions=4, new_tag=lambda: "n1")
    layer = stage.layer
    servers: list[Any] = []
    clients: list[Any] = []
    for what, method, status, branch, reliable, seconds in steps:
        flow = stage.flow(reliable)
        request = stage.message(method, branch)
        server = servers[int(seconds) % len(servers)] if servers else None
        client = clients[int(seconds) % len(clients)] if clients else None
        try:
            if what == "request":
                for name, _ in stage.receive(request, reliable):
                    if name == "request":
                        servers.append(layer.create_server(request, flow, stage.user, trying=reliable))
            elif what == "start":
                clients.append(layer.start_client(request, flow, stage.user))
            elif what == "response" and client is not None:
                stage.answer(client.request, status, reliable=reliable)
            elif what == "cancel" and client is not None:
                layer.cancel(client)
            elif what == "respond" and server is not None:
                server.send(stage.response(server.request, status))
            elif what == "hold":
                layer.hold(request, flow)
            elif what == "release":
                layer.release(request)
            elif what == "claim" and server is not None:
                layer.claim_as_uas(server)
            elif what == "trying" and server is not None:
                server.trying()
            elif what == "abandon" and server is not None:
                server.abandon()
            elif what == "reroute" and server is not None:
                server.reroute(flow)
            elif what == "closed":
                layer.flow_closed(flow)
            elif what in ("break", "mend"):
                flow.broken = TransportError("gone") if what == "break" else None
        except (LocalProtocolError, TransactionLimitReached):
            # The caller's own mistakes: a branch in use, CANCEL for OPTIONS; and the limit.
            pass
        if what == "advance":
            stage.run(stage.clock.seconds() + seconds)
        # One CANCEL for each transaction may stand beside the limit.
        assert len(layer.servers) <= 8
        assert len(layer.clients) <= 8
    # Timer C and twice 64*T1 after the last input.
    stage.run(stage.clock.seconds() + 244.001)
    stage.assert_empty()
    assert all(transaction.state == "Terminated" for transaction in [*servers, *clients])
