"""The sections of the configuration file of ``twistd sip-ua``."""

# ruff: noqa: RUF009  (a field, not a shared default)
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NewType

import attrs

from twisted_sip.agent.settings import AgentSettings
from twisted_sip.element.limits import LimitSettings
from twisted_sip.errors import LocalProtocolError, MissingExtra, RemoteProtocolError
from twisted_sip.interfaces.flow import Address
from twisted_sip.media.ice.settings import TURNServer
from twisted_sip.media.settings import MediaSettings
from twisted_sip.message.uri import SIPURI
from twisted_sip.tap.answer_texts import ANSWERS_RIGHT, answer_text
from twisted_sip.tap.checks import CHECKS, check_media
from twisted_sip.tap.constraints import ListenDescriptor
from twisted_sip.tap.faults import WrongSetting, checked
from twisted_sip.tap.hosts import is_address
from twisted_sip.tap.sections import LogSection, TLSSection, TraceSection, host_or_empty, readable_file, setting
from twisted_sip.tap.structuring import Checks, Kinds
from twisted_sip.tap.voice_prompts import Prompt, prompt_text
from twisted_sip.transport.settings import TransportSettings

#: What is done with calls, as on the command line.
AnswerText = NewType("AnswerText", str)

#: The state directory where none is written.
DEFAULT_STATE_DIR = "twisted-sip-ua-state"

#: Callers wait for 180 seconds.
_LONGEST_RING = 170.0

#: Kinds of texts in this file.
KINDS: Kinds = {AnswerText: answer_text, Prompt: prompt_text}


@checked("")
def _uri_or_empty(value: Any) -> None:
    """Refuse what is neither empty nor a SIP URI."""
    if value:
        _uri(value, "write one like sip:proxy.example.com")


@checked("")
def _user(value: Any) -> None:
    """Refuse what is no address-of-record."""
    right = "write one like sip:bob@example.com"
    if not _uri(value, right).user:
        raise WrongSetting(f'"{value}" names no user', right)


def _uri(value: str, right: str) -> SIPURI:
    try:
        return SIPURI.parse(value)
    except RemoteProtocolError as error:
        raise WrongSetting(f'"{value}" is not a SIP URI', right) from error


@checked("")
def _uris(value: Any) -> None:
    """Refuse a list with what is no SIP URI, or too long a list."""
    for one in value:
        _uri(one, "write SIP URIs like sip:proxy.example.com")
    if len(value) > 4:
        raise WrongSetting("are more than 4", "write at most 4 proxies (RFC 5626 section 4.2.1)")


@checked("")
def _some_answer(value: Any) -> None:
    """Refuse an empty text; other ones are looked at as they are read."""
    if not value:
        raise WrongSetting("is empty", ANSWERS_RIGHT)


@checked("")
def _stun(value: Any) -> None:
    """Refuse servers that are not numeric addresses."""
    for one in value:
        stun_address(one)


@checked("")
def _turn(value: Any) -> None:
    """Refuse what is not a numeric address."""
    stun_address(value)


def stun_address(text: str) -> Address:
    """Return the address of a STUN server, port 3478 unless written.

    :raises WrongSetting: it is none.
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "3478"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, "3478"
    if not is_address(host) or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise WrongSetting(f'"{text}" is not an address', "write a numeric address and a port, like 192.0.2.1:3478")
    return Address(host, int(port))


@attrs.frozen(kw_only=True)
class UAServerSection:
    """``[server]``: where we listen."""

    listen: tuple[ListenDescriptor, ...] = setting(
        (),
        "Where to listen, in the manner of Twisted endpoints: transport, port, then options, as in "
        "`udp:5060:interface=127.0.0.1` or `tls:5061:privateKey=key.pem:certKey=certificate.pem`.",
        shown_default="any free port over udp and tcp where a line is registered, else `udp:5060` and `tcp:5060`",
    )
    advertise: str = setting(
        "",
        "Name or address that peers are to use for signalling, where it is not the one listened on (behind NAT).",
        host_or_empty,
        shown_default="the address listened on",
    )
    stun: tuple[str, ...] = setting((), "Numeric addresses of STUN servers for ICE, as `192.0.2.1:3478`.", _stun)
    state_dir: Path = setting(
        Path(DEFAULT_STATE_DIR),
        "Directory for the instance identifiers of the lines, call policies and the control socket.",
        shown_default=f"`./{DEFAULT_STATE_DIR}`",
    )


@attrs.frozen(kw_only=True)
class LineSection:
    """``[[line]]``: a line that is registered, and what is done with its calls.

    Without any line whoever calls this host is answered as `[answer]` says.
    """

    aor: str = setting(attrs.NOTHING, "The address-of-record, as `sip:bob@example.com`.", _user)
    password_file: Path | None = setting(
        None, "A file whose first line is the password.", readable_file, shown_default="no password"
    )
    password: str = setting("", "The password; keep this file to yourself then.", shown_default="none")
    user: str = setting("", "The digest user name.", shown_default="the user of `aor`")
    realms: tuple[str, ...] = setting(
        (), "Realms that may ask for the password.", shown_default="the domain of `aor`, in whatever case"
    )
    registrar: str = setting("", "Where to register.", _uri_or_empty, shown_default="the domain of `aor`")
    proxies: tuple[str, ...] = setting(
        (), "Outbound proxies; each makes one flow (RFC 5626).", _uris, shown_default="none"
    )
    expires: int = setting(3600, "Seconds to register for.", attrs.validators.ge(1))
    answer: AnswerText = setting(
        AnswerText(""),
        "What to do with calls: `echo`, `play FILE`, `record DIR`, `dtmf-menu FILE` or `reject STATUS`.",
        shown_default="as in `[answer]`",
    )
    ring: float = setting(
        -1.0,
        "Seconds to ring before.",
        attrs.validators.and_(attrs.validators.ge(-1.0), attrs.validators.le(_LONGEST_RING)),
        shown_default="as in `[answer]`",
    )

    def __attrs_post_init__(self) -> None:
        if self.password and self.password_file is not None:
            raise WrongSetting("is written beside password", "write one of them", "password_file")


@attrs.frozen(kw_only=True)
class TURNSection:
    """``[[turn]]``: a server that relays media where there is no other way (RFC 8656), for ICE."""

    address: str = setting(attrs.NOTHING, "Its numeric address, as `192.0.2.1:3478`.", _turn)
    user: str = setting("", "The user name there.", shown_default="none: it asks for none")
    password: str = setting("", "The password; keep this file to yourself then.", shown_default="none")
    password_file: Path | None = setting(
        None, "A file whose first line is the password.", readable_file, shown_default="no password"
    )

    def __attrs_post_init__(self) -> None:
        if self.password and self.password_file is not None:
            raise WrongSetting("is written beside password", "write one of them", "password_file")
        if (self.password or self.password_file is not None) and not self.user:
            raise WrongSetting("is missing beside the password", "write the user name", "user")
        if self.user and not self.password and self.password_file is None:
            raise WrongSetting("is missing beside the user name", "write it, or a password_file", "password")


@attrs.frozen(kw_only=True)
class AnswerSection:
    """``[answer]``: what is done with calls where a line does not say otherwise."""

    answer: AnswerText = setting(
        AnswerText("echo"), "`echo`, `play FILE`, `record DIR`, `dtmf-menu FILE` or `reject STATUS`.", _some_answer
    )
    ring: float = setting(
        0.0,
        "Seconds to ring before: an answering machine beside a phone leaves it some.",
        attrs.validators.and_(attrs.validators.ge(0.0), attrs.validators.le(_LONGEST_RING)),
    )
    repeat: bool = setting(False, "Play the file of `play FILE` again and again; otherwise hang up at its end.")
    longest: float = setting(3600.0, "Seconds after which a call is ended, 0 for never.", attrs.validators.ge(0.0))
    max_calls_per_line: int = setting(
        0, "Calls at which a line is busy, as its call policy sees it; 0 for never.", attrs.validators.ge(0)
    )


@attrs.frozen(kw_only=True)
class VoicemailSection:
    """``[voicemail]``: how `record DIR` takes messages."""

    greeting: Prompt = setting(
        Prompt(""), "What is played first: a WAV file, `tone:NAME` or `keys:DIGITS`.", shown_default="nothing"
    )
    goodbye: Prompt = setting(Prompt(""), "What is played after the message.", shown_default="nothing")
    beep: bool = setting(True, "Beep before the recording begins.")
    longest: float = setting(
        180.0,
        "The most seconds of a message.",
        attrs.validators.and_(attrs.validators.ge(1.0), attrs.validators.le(3600.0)),
    )
    shortest: float = setting(1.0, "Messages of less seconds are thrown away.", attrs.validators.ge(0.0))
    silence: float = setting(
        5.0, "Seconds of silence that end a message, 0 for never.", attrs.validators.and_(attrs.validators.ge(0.0))
    )
    end_key: str = setting("#", "The key that ends a message, empty for none.")
    max_messages: int = setting(
        100, "Messages in the directory; callers are answered 480 when it is full.", attrs.validators.ge(1)
    )
    watchers: tuple[str, ...] = setting(
        (),
        "Who may subscribe to the message summary beside the line itself, as `sip:bob@example.com`.",
        shown_default="nobody",
    )
    trust_everybody: bool = setting(
        False,
        "Take subscriptions that do not come from where a line is registered: nobody has proved who sends them.",
    )


def _default_srtp() -> str:
    """Return ``offered`` where the library of SRTP is: who asks for it gets it."""
    try:
        from twisted_sip.media.srtp import srtp_library

        srtp_library()
    except MissingExtra:
        return "off"
    return "offered"


# Its documentation is that of the settings that it changes the defaults of.
@attrs.frozen(slots=True, kw_only=True)
class UAMediaSettings(MediaSettings):
    inband_keys: str = attrs.field(default="always", validator=attrs.fields(MediaSettings).inband_keys.validator)
    srtp: str = attrs.field(
        factory=_default_srtp,
        validator=attrs.fields(MediaSettings).srtp.validator,
        metadata={"shown_default": '`"offered"` where its library is installed, else `"off"`'},
    )


def _section(factory: Any, meaning: str) -> Any:
    return attrs.field(factory=factory, metadata={"help": meaning})


@attrs.frozen(kw_only=True)
class UAConfiguration:
    """Every setting of ``twistd sip-ua``."""

    server: UAServerSection = _section(UAServerSection, "Where we listen.")
    line: tuple[LineSection, ...] = attrs.field(
        default=(), metadata={"help": "Lines that are registered, each with its answer."}
    )
    turn: tuple[TURNSection, ...] = attrs.field(
        default=(), metadata={"help": "TURN servers for ICE, where there is no way without a relay."}
    )
    answer: AnswerSection = _section(AnswerSection, "What is done with calls.")
    voicemail: VoicemailSection = _section(VoicemailSection, "How messages are taken.")
    agent: AgentSettings = _section(AgentSettings, "How the user agent behaves.")
    media: UAMediaSettings = _section(UAMediaSettings, "Codecs, ports, SRTP, ICE.")
    tls: TLSSection = _section(TLSSection, "Our certificate, and whom we believe.")
    transport: TransportSettings = _section(TransportSettings, "Sockets, connections and their limits.")
    limits: LimitSettings = _section(LimitSettings, "What one peer may ask of us.")
    log: LogSection = _section(LogSection, "What is logged and how.")
    trace: TraceSection = _section(TraceSection, "The messages kept for `twisted-sip trace`.")


#: Where to listen: calls that are for no line come to the port that everybody knows.
_WELL_KNOWN = (ListenDescriptor("udp:5060"), ListenDescriptor("tcp:5060"))
_ANY_PORT = (ListenDescriptor("udp:0"), ListenDescriptor("tcp:0"))


def listened_on(configuration: UAConfiguration) -> tuple[ListenDescriptor, ...]:
    """Return where to listen."""
    return configuration.server.listen or (_ANY_PORT if configuration.line else _WELL_KNOWN)


def with_servers(configuration: UAConfiguration, turn_passwords: Sequence[str]) -> MediaSettings:
    """Return the settings of media with the servers of *configuration*.

    :param turn_passwords: one for each TURN server.
    """
    media: MediaSettings = configuration.media
    given = zip(configuration.turn, turn_passwords, strict=True)
    servers = attrs.evolve(
        media.ice_settings,
        stun_servers=tuple(stun_address(text) for text in configuration.server.stun),
        turn_servers=tuple(TURNServer(stun_address(one.address), one.user, password) for one, password in given),
    )
    return attrs.evolve(media, ice_settings=servers)


def _check_media(settings: MediaSettings) -> None:
    check_media(settings)
    if settings.srtp == "off":
        return
    try:
        from twisted_sip.media.srtp import srtp_library

        srtp_library()
    except MissingExtra as error:
        raise WrongSetting(str(error), 'or write "off"', "srtp") from error


def _check_whole(configuration: UAConfiguration) -> None:
    """Refuse lines that are the same, and servers that nobody would ask."""
    seen: set[str] = set()
    for place, line in enumerate(configuration.line):
        aor = SIPURI.parse(line.aor).address_of_record
        if aor in seen:
            raise WrongSetting(f'"{line.aor}" is written twice', "write each line once", f"line[{place}].aor")
        seen.add(aor)
    if configuration.media.ice != "full":
        for key, given in (("server.stun", configuration.server.stun), ("turn", configuration.turn)):
            if given:
                raise WrongSetting("is of use with full ICE alone", 'write ice = "full" in [media]', key)


def _check_voicemail(section: VoicemailSection) -> None:
    from twisted_sip.agent.dtmf import KEYS

    if section.end_key and (len(section.end_key) != 1 or section.end_key not in KEYS):
        raise WrongSetting(f'"{section.end_key}" is not a key', "write one of 0123456789*#ABCD", "end_key")
    for text in section.watchers:
        try:
            _user(None, None, text)
        except (WrongSetting, LocalProtocolError) as error:
            raise WrongSetting(str(error), complete=True, key="watchers") from error


#: Settings class -> what looks at a whole object of it.
UA_CHECKS: Checks = {
    **CHECKS,
    UAMediaSettings: _check_media,
    VoicemailSection: _check_voicemail,
    UAConfiguration: _check_whole,
}
