"""Reading the configuration: every fault in one go, each with its key and what would be right."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap.configuration import Configuration, load, overridden, read


def problems(text: str, base: Path = Path("/etc/sip")) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, "sip.toml", base)
    return list(caught.value.problems)


def test_an_empty_file_is_the_default_configuration() -> None:
    assert read("", "sip.toml", Path()) == Configuration()
    server = Configuration().server
    assert server.listen == ("udp:5060", "tcp:5060", "tls:5061")
    assert server.state_dir == Path("twisted-sip-state")
    assert Configuration().auth.required


def test_a_configuration_is_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Configuration().server.domains = ("x",)  # type: ignore[misc]


def test_every_section_is_read(tmp_path: Path) -> None:
    for name in ("certificate.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("x")
    path = tmp_path / "sip.toml"
    path.write_text(
        """
        [server]
        domains = ["example.com", "192.0.2.1", "[2001:db8::1]"]
        listen = ["udp:5070:interface=127.0.0.1"]
        advertise = "sip.example.com"
        state_dir = "state"
        [tls]
        certificate = "certificate.pem"
        private_key = "key.pem"
        ca = "ca.pem"
        verify = false
        [auth]
        required = false
        algorithms = ["SHA-256", "MD5"]
        realm = "phones"
        [proxy]
        record_route = false
        fork = "serial"
        timer_c = 200
        [limits]
        requests_per_second = 7
        [log]
        format = "json"
        level = "debug"
        file = "sip.log"
        [trace]
        calls = 5
        [transport.messages]
        uri = 500
        """
    )
    found = load(path)
    assert found.server.domains == ("example.com", "192.0.2.1", "[2001:db8::1]")
    assert found.server.listen == ("udp:5070:interface=127.0.0.1",)
    assert found.server.advertise == "sip.example.com"
    assert found.server.state_dir == tmp_path / "state"
    assert found.tls.certificate == tmp_path / "certificate.pem"
    assert found.tls.ca == tmp_path / "ca.pem"
    assert not found.tls.verify
    assert not found.auth.required
    assert found.auth.algorithms == ("SHA-256", "MD5")
    assert found.auth.realm == "phones"
    assert (found.proxy.record_route, found.proxy.fork, found.proxy.timer_c) == (False, "serial", 200.0)
    assert found.limits.requests_per_second == 7
    assert (found.log.format, found.log.level, found.log.file) == ("json", "debug", tmp_path / "sip.log")
    assert found.trace.calls == 5
    assert found.transport.messages.uri == 500


def test_credentials_are_not_asked_for_in_the_clear() -> None:
    assert read('[auth]\ncredentials_url = "https://a.example/ha1"', "sip.toml", Path()).auth.credentials_url
    (problem,) = problems('[auth]\ncredentials_url = "http://a.example/ha1"')
    assert problem.startswith("sip.toml: auth.credentials_url: ") and "https" in problem


def test_routes_are_read_in_order() -> None:
    found = read(
        """
        [[route]]
        method = "INVITE"
        user = "9*"
        to = "sip:{user}@gateway.example.net"
        [[route]]
        method = "MESSAGE"
        host = "*.example.org"
        to = ["sip:a@192.0.2.1", "sip:b@192.0.2.2"]
        fork = "serial"
        [[route]]
        user = "blocked"
        status = 603
        reason = "Go away"
        """,
        "sip.toml",
        Path(),
    )
    first, second, third = found.route
    assert (first.method, first.user, first.host) == ("INVITE", "9*", "*")
    assert first.to == ("sip:{user}@gateway.example.net",)
    assert (second.method, second.host, second.fork) == ("MESSAGE", "*.example.org", "serial")
    assert second.to == ("sip:a@192.0.2.1", "sip:b@192.0.2.2")
    assert (third.method, third.status, third.reason) == ("*", 603, "Go away")


def test_all_faults_are_reported_together() -> None:
    found = problems(
        """
        [server]
        domans = ["example.com"]
        listen = "udp:5060"
        domains = ["ok.example", "sip:not.ok"]
        [tls]
        verify = 1
        [auth]
        required = "yes"
        algorithms = ["MD6"]
        [limits]
        requests_per_second = 0
        [proxy]
        fork = "paralel"
        timer_c = 10
        [[route]]
        to = "sip:a@example.com"
        [[route]]
        to = "sip:a@example.com"
        status = 404
        [[route]]
        to = 5
        [stroage]
        x = 1
        """
    )
    assert sorted(line.split(": ")[1] for line in found) == [
        "auth.algorithms[0]",
        "auth.required",
        "limits.requests_per_second",
        "proxy.fork",
        "proxy.timer_c",
        "route[1]",
        "route[2].to",
        "server.domains[1]",
        "server.domans",
        "server.listen",
        "stroage",
        "tls.verify",
    ]
    assert all(line.startswith("sip.toml: ") for line in found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\ndomans = []", "server.domans: unknown key, did you mean domains?"),
        ("[stroage]", "stroage: unknown key, did you mean storage?"),
        ("[server]\nstate_dir = 3", "server.state_dir: 3 is not a text in quotes, write a path in quotes"),
        (
            "[server]\ndomains = [5]",
            "server.domains[0]: 5 is not a text in quotes, write a domain or an address in quotes",
        ),
        ("server = 5", "server: 5 is not a table, write its keys below a [header]"),
        ("[proxy]\nmax_forwards = 900", "proxy.max_forwards: 900 is out of range, write a whole number from 1 to 255"),
        ("[proxy]\ntimer_c = true", "proxy.timer_c: true is not a number, write a number, more than 180"),
        ("[transport]\nmtu = -1", "transport.mtu: -1 is below 0, write 0 or more"),
        ("[trace]\ncalls = 0", "trace.calls: 0 is out of range, write a whole number from 1 to 1000000"),
        ('[log]\nformat = "jsn"', 'log.format: "jsn" is unknown, did you mean json?'),
        (
            '[tls]\ncertificate = "/nowhere/c.pem"',
            "tls.certificate: /nowhere/c.pem does not exist, write the path of a file",
        ),
        (
            '[tls]\ncertificate = "/etc/hostname"',
            "tls.private_key: is missing beside certificate, write the path of both or of none",
        ),
        ("[[route]]\nuser = 'x'", "route[0]: leads nowhere, write to (a SIP URI or several) or status"),
        (
            "[[route]]\nstatus = 200",
            "route[0].status: 200 is not a final failure or redirection, write a status from 300 to 699",
        ),
        (
            '[server]\nadvertise = "sip.example.com:5060"',
            'server.advertise: "sip.example.com:5060" is not a host, write a name or an address, without port',
        ),
        ("[proxy]\ntimer_c = inf", "proxy.timer_c: inf is out of range, write a number, more than 180"),
        ("[transport]\nidle_timeout = nan", "transport.idle_timeout: nan is out of range, write a number"),
        (
            '[auth]\nrealm = "a\\r\\nX: y"',
            'auth.realm: "a\\r\\nX: y" is not one line, write one line, without control characters',
        ),
        (
            '[[route]]\nstatus = 486\nreason = "x\\ny"',
            'route[0].reason: "x\\ny" is not one line, write one line, without control characters',
        ),
        (
            "[registrar]\nmin_expires = 9000\nmax_expires = 60",
            "registrar.min_expires: 9000 is more than max_expires, write 60 or less",
        ),
        (
            '[registrar]\nservice_route = ["<sip:a;lr>", "sip:b;lr"]',
            'registrar.service_route: "sip:b;lr" is not a Service-Route, write one like "<sip:proxy.example.com;lr>"',
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(text: str, line: str) -> None:
    assert problems(text) == [f"sip.toml: {line}"]


@pytest.mark.parametrize("text", ["[transport]\nadvertise = 'x'", "[transport]\nconnections = 1"])
def test_there_is_one_place_for_each_setting(text: str) -> None:
    (line,) = problems(text)
    assert "unknown key" in line


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[server]\ndomains = \n", "sip.toml: line 2, column 11: invalid value"),
        ("[server]\na = 1\na = 2\n", "sip.toml: line 3, column 6: cannot overwrite a value"),
        ('[server]\nadvertise = "x', "sip.toml: line 2: unterminated string, the file ends too early"),
    ],
)
def test_syntax_errors_come_with_their_line(text: str, start: str) -> None:
    (line,) = problems(text)
    assert line.startswith(start)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("[" * 40 + "]" * 40, "arrays or tables are nested too deep"),
        ("{a = " * 40 + "1" + "}" * 40, "arrays or tables are nested too deep"),
        ("[" * 5000 + "]" * 5000, "arrays or tables are nested too deep"),
        ("9" * 5000, "a number has thousands of digits"),
    ],
)
def test_what_python_itself_refuses_is_a_fault(value: str, fault: str) -> None:
    assert problems(f"[server]\ndomains = {value}\n") == [f"sip.toml: {fault}, correct the TOML there"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "none.toml")
    assert (
        str(caught.value)
        == f"{tmp_path}/none.toml: cannot be read (no such file or directory), write the path of a TOML file"
    )


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_bytes(b"[server]\nadvertise = '\xff'")
    with pytest.raises(ConfigurationError, match="line 2: is not UTF-8"):
        load(path)


def test_the_command_line_wins() -> None:
    read_one = read('[server]\ndomains = ["file.example"]\nadvertise = "a"', "sip.toml", Path())
    found = overridden(read_one, domains=["line.example"], listen=["tcp:5070"], state_dir="/srv/x", no_auth=True)
    assert found.server.domains == ("line.example",)
    assert found.server.listen == ("tcp:5070",)
    assert found.server.advertise == "a"
    assert found.server.state_dir == Path("/srv/x")
    assert not found.auth.required
    assert overridden(read_one) == read_one


def test_faults_of_the_command_line_name_the_options() -> None:
    with pytest.raises(ConfigurationError) as caught:
        overridden(Configuration(), domains=["a b"], advertise="c d")
    assert [line.partition(", ")[0] for line in caught.value.problems] == [
        'command line: --domain: "a b" is not a domain',
        'command line: --advertise: "c d" is not a host',
    ]


@pytest.mark.parametrize("target", ["mailto:a@example.com", "gateway.example.net", "sip:", "sip:{user}@"])
def test_a_route_leads_to_sip_uris_only(target: str) -> None:
    assert problems(f'[[route]]\nto = "sip:{{user}}@{{host}}"\n[[route]]\nto = "{target}"') == [
        f'sip.toml: route[1].to: "{target}" is not a SIP URI, '
        "write sip:user@host or sip:host, gateway:GROUP, least-cost or enum"
    ]
