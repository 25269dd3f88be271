"""The options of the twistd commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import IPlugin
from twisted.python import usage

from twisted_sip.errors import ConfigurationError
from twisted_sip.tap import sip_b2bua, sip_presence, sip_proxy, sip_redirect, sip_registrar, sip_ua


def parsed(*arguments: str) -> sip_proxy.Options:
    options = sip_proxy.Options()
    options.parseOptions(list(arguments))
    return options


def test_without_options() -> None:
    configuration = parsed().configuration()
    assert configuration.server.listen == ("udp:5060", "tcp:5060", "tls:5061")
    assert configuration.server.domains == ()
    assert configuration.auth.required


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_text('[server]\ndomains = ["file.example"]\nlisten = ["udp:7000"]\nadvertise = "192.0.2.1"\n')
    options = parsed(
        "--config", str(path), "--domain", "a.example", "--domain", "b.example", "--listen", "tcp:7001", "--no-auth",
        "--state-dir", "/srv/x",
    )  # fmt: skip
    configuration = options.configuration()
    assert configuration.server.domains == ("a.example", "b.example")
    assert configuration.server.listen == ("tcp:7001",)
    assert configuration.server.advertise == "192.0.2.1"
    assert configuration.server.state_dir == Path("/srv/x")
    assert not configuration.auth.required


def test_relative_certificates_are_found_from_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = parsed("--listen", "tls:5061:privateKey=k.pem:certKey=c.pem", "--listen", "udp:5060:interface=[::1]")
    assert options.configuration().server.listen == (
        f"tls:5061:privateKey={tmp_path}/k.pem:certKey={tmp_path}/c.pem",
        "udp:5060:interface=[::1]",
    )


def test_faults_of_the_command_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed("--listen", "sctp:5060", "--domain", "sip:x").configuration()
    assert list(caught.value.problems) == [
        'command line: --domain: "sip:x" is not a domain, write a name like example.com or an address, '
        "without sip: and without port",
        "command line: --listen: sctp:5060: unknown transport 'sctp', write one of tcp, tls, udp",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--bogus"], "twistd sip-proxy: option --bogus not recognized (see twistd sip-proxy --help)\n"),
        (["x"], 'twistd sip-proxy: "x" is not an option (see twistd sip-proxy --help)\n'),
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*arguments)
    assert caught.value.code == 1
    assert capsys.readouterr().err == line


def test_the_plugins_name_modules_that_exist() -> None:
    from twisted.plugins import twisted_sip_plugins

    makers = [value for value in vars(twisted_sip_plugins).values() if IServiceMaker.providedBy(value)]
    assert sorted(maker.tapname for maker in makers) == [
        "sip-b2bua",
        "sip-presence",
        "sip-proxy",
        "sip-redirect",
        "sip-registrar",
        "sip-ua",
    ]
    for maker in makers:
        assert IPlugin.providedBy(maker)
        modules = (sip_b2bua, sip_presence, sip_proxy, sip_redirect, sip_registrar, sip_ua)
        assert maker.options in [module.Options for module in modules]
        assert callable(maker.makeService)


def test_options_of_presence() -> None:
    options = sip_presence.Options()
    options.parseOptions(["--behind", "sip:proxy.example.com", "--xcap", "tls:8443", "--xcap", "tcp:8080"])
    configuration = options.configuration()
    assert configuration.presence.outbound_proxy == "sip:proxy.example.com"
    assert (configuration.xcap.enabled, configuration.xcap.listen) == (True, ("tls:8443", "tcp:8080"))
    off = parsed("--presence", "--xcap", "off").configuration().xcap
    assert (off.enabled, off.listen) == (False, ())


def test_the_command_line_switches_xcap_on_again(tmp_path: Path) -> None:
    path = tmp_path / "sip.toml"
    path.write_text("[xcap]\nenabled = false\n")
    assert not parsed("--config", str(path)).configuration().xcap.enabled
    assert parsed("--config", str(path), "--presence", "--xcap", "tcp:0").configuration().xcap.enabled


def test_faults_of_the_options_of_presence() -> None:
    options = sip_presence.Options()
    options.parseOptions(["--behind", "tel:+1", "--xcap", "off", "--xcap", "udp:5060"])
    with pytest.raises(ConfigurationError) as caught:
        options.configuration()
    assert list(caught.value.problems) == [
        "command line: --xcap: off: unknown transport 'off', write one of tcp, tls, udp",
        'command line: --behind: "tel:+1" is not a SIP URI, write the proxy like sip:proxy.example.com',
    ]


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        (sip_registrar.Options, "--presence"),
        (sip_redirect.Options, "--presence"),
        (sip_registrar.Options, "--xcap=off"),
        (sip_registrar.Options, "--behind=sip:x"),
        (sip_proxy.Options, "--behind=sip:x"),
        (sip_presence.Options, "--presence"),
    ],
)
def test_options_of_others(options: type[usage.Options], argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options().parseOptions([argument])
    name = argument.partition("=")[0]
    assert f"option {name} not recognized" in capsys.readouterr().err


def test_xcap_goes_with_presence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--xcap", "off")
    assert "--xcap goes with --presence" in capsys.readouterr().err
