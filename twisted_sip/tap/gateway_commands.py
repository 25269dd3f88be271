"""What the control socket can do with gateways: show them, and switch them on and off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted_sip.proxy.gateways.table import Gateways
from twisted_sip.tap.control import Command, CommandError


def gateway_commands(gateways: Gateways | None) -> dict[str, Command]:
    """Return the commands for *gateways*."""

    def listed(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [] if gateways is None else gateways.shown()

    def switch(request: Mapping[str, Any]) -> dict[str, int]:
        name, enabled = request.get("name"), request.get("enabled")
        if not isinstance(name, str) or not name:
            raise CommandError("name is missing")
        if not isinstance(enabled, bool):
            raise CommandError("enabled is not true or false")
        return {"gateways": 0 if gateways is None else gateways.enable(name, enabled)}

    return {"gateways": listed, "gateways-enable": switch}
