"""The options that the twistd commands share, and those of servers with presence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.python import usage

from twisted_sip import __version__
from twisted_sip.tap import configuration
from twisted_sip.tap.configuration import Configuration
from twisted_sip.tap.startup import stop_with


class ServerOptions(usage.Options):
    """What every command takes; the command line wins over the file."""

    command = "sip-proxy"

    optParameters = [
        ["config", "c", None, "Configuration file in TOML."],
        ["advertise", None, None, "Name or address that peers are to use for this server (behind NAT)."],
        ["state-dir", None, None, "Directory for databases and keys [default: ./twisted-sip-state]."],
    ]
    optFlags = [
        ["no-auth", None, "Ask nobody for a password. For trusted networks only!"],
        ["demo", None, "Make users alice and bob and print what to type into two phones."],
    ]
    compData = usage.Completions(
        optActions={"config": usage.CompleteFiles("*.toml"), "state-dir": usage.CompleteDirs()}
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.domains: list[str] = []
        self.listen: list[str] = []
        self.xcap: list[str] = []
        self.behind = ""
        # Read again later, by a daemon that may work in another directory.
        self._base = Path.cwd()

    def opt_domain(self, domain: str) -> None:
        """Domain for whose users this server is responsible; may be given again
        [default: the names and addresses of this host]."""
        self.domains.append(domain)

    def opt_listen(self, descriptor: str) -> None:
        """Where to listen, as udp:5060:interface=127.0.0.1 or tls:5061:privateKey=k.pem:certKey=c.pem; may be given
        again [default: udp:5060, tcp:5060 and tls:5061]."""
        self.listen.append(descriptor)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"twisted-sip {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse *options*; a fault ends the process with one line rather than with the whole help text."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as error:
            stop_with([f"twistd {self.command}: {error} (see twistd {self.command} --help)"])

    def parseArgs(self, *arguments: str) -> None:
        """Refuse what is no option."""
        if arguments:
            raise usage.UsageError(f'"{arguments[0]}" is not an option')

    def configuration(self) -> Configuration:
        """Return the settings of the file with those of the command line in their place.

        :raises ConfigurationError: with every fault of both.
        """
        path = self["config"]
        read = configuration.load(Path(path), self._base) if path else Configuration()
        changed = configuration.overridden(
            read,
            domains=self.domains,
            listen=self.listen,
            advertise=self["advertise"] or "",
            state_dir=self["state-dir"] or "",
            no_auth=bool(self["no-auth"]),
            xcap=self.xcap,
            behind=self.behind,
            base=self._base,
        )
        return configuration.with_absolute_paths(changed, self._base)


class PresenceOptions(ServerOptions):
    """What servers that can serve presence take too."""

    def opt_xcap(self, descriptor: str) -> None:
        """Where to serve XCAP, as tls:8443 or tcp:8080:interface=127.0.0.1, or off; may be given again
        [default: tls:8443 and tcp:8080:interface=127.0.0.1, each if it is free]."""
        self.xcap.append(descriptor)
