"""``twisted-sip explain``: why a call went the way it did, each decision with the key of the configuration behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from twisted_sip.cli import state_dir as state
from twisted_sip.cli.aor import canonical_aor
from twisted_sip.cli.control_client import ControlClient
from twisted_sip.cli.output import console, json_option, print_json
from twisted_sip.cli.traced_message import Traced, plain


@click.command()
@click.argument("call_id", metavar="CALL-ID", required=False)
@click.option("--last", is_flag=True, help="The call that began last.")
@click.option("--user", metavar="AOR", help="The call that began last of this user (alice@example.com).")
@click.option("--method", default="", metavar="METHOD", help="With --last or --user: only calls begun by METHOD.")
@click.option("--messages", is_flag=True, help="Show the messages of the trace between the decisions.")
@json_option
@state.state_dir_options
def explain(
    call_id: str | None,
    last: bool,
    user: str | None,
    method: str,
    messages: bool,
    as_json: bool,
    state_dir: Path | None,
    config: Path | None,
) -> None:
    """Tell why a call went the way it did: who was let in or refused, where it was sent, and because of which key of
    the configuration.

    CALL-ID is the Call-ID, or its beginning if only one call begins so. Decisions are kept in the memory of the running
    server; any request is a call here, a REGISTER or MESSAGE too.
    """
    if sum(map(bool, (call_id, last, user))) != 1:
        raise click.UsageError("name a CALL-ID, or say --last or --user AOR")
    if method and call_id:
        raise click.UsageError("--method goes with --last or --user")
    wanted: dict[str, Any] = {
        "call_id": call_id or "",
        "last": last,
        "user": canonical_aor(user) if user else "",
        "method": method,
    }
    with ControlClient(state.find(state_dir, config)) as server:
        found = server.ask("explain", **wanted, messages=messages)
    if as_json:
        print_json(found)
        return
    for line in lines(found["call_id"], found["decisions"], found.get("messages", ())):
        console().print(line, soft_wrap=True)


def lines(call_id: str, decisions: list[dict[str, Any]], messages: list[dict[str, Any]] | tuple[()] = ()) -> list[Text]:
    """Return *decisions*, and *messages* between them, in the order of time as people read them."""
    found = [Text(f"Call-ID {plain(call_id)}", "dim")]
    # What came in was decided about after that, and what goes out before: a stable order at the same time.
    events: list[tuple[float, int, Mapping[str, Any]]] = [
        *((float(one["time"]), 1, one) for one in decisions),
        *((float(one["time"]), 2 if one["sent"] else 0, one) for one in messages),
    ]
    events.sort(key=lambda event: event[:2])
    began = events[0][0]
    found.append(Text(datetime.fromtimestamp(began).strftime("%Y-%m-%d %H:%M:%S"), "dim"))
    found.append(Text())
    wide = max(len(one["room"]) for one in decisions) + 2
    names = max(len(plain(one["method"])) for one in decisions) + 2
    last = ""
    for at, kind, one in events:
        line = Text(f"{at - began:8.3f}  ", "dim")
        if kind != 1:
            message = Traced.of(one)
            number, method = message.cseq
            arrow = "->" if message.sent else "<-"
            what = message.start_line.removeprefix("SIP/2.0 ").removesuffix(" SIP/2.0")
            reference = f" ({method} {number})" if message.is_response else ""
            text = f"{arrow} {message.remote} {message.transport.lower()}  {what}{reference}"
            line.append(text, "dim" if message.colour == "bold" else message.colour)
            last = ""
        else:
            method = plain(one["method"])
            line.append(f"{method if method != last else '':<{names}}", "bold")
            last = method
            line.append(f"{one['room']:<{wide}}", "cyan")
            refused = one["text"][:3].isdigit() and one["text"][0] in "3456"
            line.append(plain(one["text"]), "red" if refused else "default")
            if one["key"]:
                line.append(f"  [{plain(one['key'])}]", "yellow")
        found.append(line)
    return found
