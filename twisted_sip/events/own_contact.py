"""The Contact of a notifier: where requests in its dialogs go (RFC 3261 sections 8.1.1.8 and 12.1.1)."""

from __future__ import annotations

from twisted_sip.interfaces.flow import Flow

#: There are as many lines as there are sockets.
_MOST_KEPT = 1000


class OwnContact:
    """Makes Contact lines, each once.

    :param user: the user part.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._lines: dict[tuple[str, str, bool], str] = {}

    def line(self, flow: Flow, secure: bool) -> str:
        """Return the Contact for requests and responses that leave by *flow*: it leads back here."""
        sent_by = flow.sent_by
        parameter = flow.kind.parameter
        key = (sent_by, parameter, secure)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) > _MOST_KEPT:
                self._lines.clear()
            uri = f"sips:{self._user}@{sent_by}" if secure else f"sip:{self._user}@{sent_by};transport={parameter}"
            line = self._lines[key] = f"Contact: <{uri}>"
        return line
