"""The exchanges of RFC 4317, message by message: who, which version, which media lines (``|`` parts lines)."""

from __future__ import annotations

from twisted_sip.sdp.description import SessionDescription

_WHO = {
    "alice": ("alice 2890844526", 2890844526, "host.atlanta.example.com"),
    "bob": ("bob 2808844564", 2808844564, "host.biloxi.example.com"),
}

Message = tuple[str, int, str, str]

PCMU = "a=rtpmap:0 PCMU/8000"
PCMA = "a=rtpmap:8 PCMA/8000"
ILBC = "a=rtpmap:97 iLBC/8000"
H261 = "a=rtpmap:31 H261/90000"
MPV = "a=rtpmap:32 MPV/90000"
EVENT = "a=rtpmap:98 telephone-event/8000"
ALL = f"m=audio 49170 RTP/AVP 0 8 97|{PCMU}|{PCMA}|{ILBC}|m=video 51372 RTP/AVP 31 32|{H261}|{MPV}"
TWO = f"m=audio 49170 RTP/AVP 0 97|{PCMU}|{ILBC}|m=audio 49172 RTP/AVP 98|{EVENT}|a=sendonly"
TWO_ANSWERED = f"m=audio 49172 RTP/AVP 97|{ILBC}|m=audio 49174 RTP/AVP 98|{EVENT}|a=recvonly"
TWO_HELD = f"m=audio 49172 RTP/AVP 97|{ILBC}|a=sendonly|m=audio 49174 RTP/AVP 98|{EVENT}|a=recvonly"
ONE = f"m=audio 49170 RTP/AVP 97|{ILBC}"
ONE_OF_TWO = f"m=audio 49170 RTP/AVP 0 97|{PCMU}|{ILBC}"
BOTH = f"{ONE}|m=video 51372 RTP/AVP 31|{H261}"
BOTH_ANSWERED = f"m=audio 49174 RTP/AVP 97|{ILBC}|m=video 49170 RTP/AVP 31|{H261}"
ILBC99 = "RTP/AVP 99|a=rtpmap:99 iLBC/8000"
NO_VIDEO = f"m=video 0 RTP/AVP 31|{H261}"

#: Section, and its messages: sender, how often the version went up, address where it is another one, media.
EXCHANGES: dict[str, list[Message]] = {
    "2.1": [
        ("alice", 0, "", ALL),
        ("bob", 0, "", f"m=audio 49174 RTP/AVP 0|{PCMU}|m=video 49170 RTP/AVP 32|{MPV}"),
    ],
    "2.2": [
        ("alice", 0, "", ALL),
        ("bob", 0, "", f"m=audio 49172 RTP/AVP 0 8|{PCMU}|{PCMA}|{NO_VIDEO}"),
        ("alice", 1, "", f"m=audio 51372 RTP/AVP 0|{PCMU}|{NO_VIDEO}"),
        ("bob", 1, "", f"m=audio 49172 RTP/AVP 0|{PCMU}|{NO_VIDEO}"),
    ],
    "2.3": [
        ("alice", 0, "", ALL),
        ("bob", 0, "", f"m=audio 49172 {ILBC99}|m=video 51374 RTP/AVP 31|{H261}"),
    ],
    "2.4": [("alice", 0, "", TWO), ("bob", 0, "", TWO_ANSWERED)],
    "2.5": [
        ("alice", 0, "", BOTH),
        ("bob", 0, "", BOTH_ANSWERED),
        ("bob", 1, "newhost.biloxi.example.com", BOTH_ANSWERED.replace("49174", "49178").replace("49170", "49188")),
        ("alice", 0, "", BOTH),
    ],
    "2.6": [
        (
            "alice",
            0,
            "",
            f"m=audio 49170 RTP/AVP 0|{PCMU}|m=audio 51372 RTP/AVP 97 101|{ILBC}|a=rtpmap:101 telephone-event/8000",
        ),
        (
            "bob",
            0,
            "",
            f"m=audio 0 RTP/AVP 0|{PCMU}|m=audio 49170 RTP/AVP 97 101|{ILBC}|a=rtpmap:101 telephone-event/8000",
        ),
    ],
    "2.7": [
        ("alice", 0, "", f"m=audio 49170 {ILBC99}|m=video 51372 RTP/AVP 31|{H261}"),
        ("bob", 0, "", f"m=audio 49172 {ILBC99}|m=video 51374 RTP/AVP 31|{H261}"),
        ("alice", 1, "", f"m=audio 49170 {ILBC99}|m=video 51372 RTP/AVP 31 32|{H261}|{MPV}"),
        ("bob", 1, "", f"m=audio 49172 {ILBC99}|m=video 51374 RTP/AVP 31 32|{H261}|{MPV}"),
    ],
    "2.8": [
        ("alice", 0, "", ALL),
        (
            "bob",
            0,
            "",
            f"m=audio 49174 RTP/AVP 0|{PCMU}|m=video 49172 RTP/AVP 32|c=IN IP4 otherhost.biloxi.example.com|{MPV}",
        ),
    ],
    "3.1": [
        ("alice", 0, "", ONE_OF_TWO),
        ("bob", 0, "placeholder.biloxi.example.com", f"m=audio 49172 RTP/AVP 97|{ILBC}|a=sendonly"),
        ("bob", 1, "", ONE),
        ("alice", 1, "", f"m=audio 49178 RTP/AVP 97|{ILBC}"),
    ],
    "3.2": [("alice", 0, "", TWO), ("bob", 0, "", TWO_ANSWERED), ("bob", 1, "", TWO_HELD), ("alice", 1, "", TWO)],
    "4.1": [
        ("alice", 0, "", ONE_OF_TWO),
        ("bob", 0, "", ONE),
        (
            "bob",
            1,
            "",
            f"{ONE}|m=audio 48282 RTP/AVP 98|c=IN IP4 mediaserver.biloxi.example.com|{EVENT}|a=recvonly",
        ),
        (
            "alice",
            1,
            "",
            f"{ONE}|m=audio 49172 RTP/AVP 98|c=IN IP4 host.atlanta.example.com|{EVENT}|a=sendonly",
        ),
    ],
    "4.2": [
        ("alice", 0, "", f"m=audio 49170 RTP/AVP 0|{PCMU}"),
        ("bob", 0, "", f"m=audio 49172 RTP/AVP 0|{PCMU}"),
        ("alice", 1, "", f"m=audio 49170 RTP/AVP 0|{PCMU}|m=video 49172 RTP/AVP 31|{H261}"),
        ("bob", 1, "", f"m=audio 49172 RTP/AVP 0|{PCMU}|m=video 49168 RTP/AVP 31|{H261}"),
    ],
    "4.3": [
        ("alice", 0, "", BOTH),
        ("bob", 0, "", BOTH_ANSWERED),
        ("bob", 1, "", f"m=audio 49174 RTP/AVP 97|{ILBC}|{NO_VIDEO}"),
        ("alice", 1, "", f"{ONE}|{NO_VIDEO}"),
    ],
    "5.1": [
        ("alice", 0, "", ""),
        ("bob", 0, "", ""),
        ("alice", 1, "", ONE),
        ("bob", 1, "", f"m=audio 49172 RTP/AVP 97|{ILBC}"),
    ],
    "5.2": [
        ("alice", 0, "0.0.0.0", f"m=audio 23442 RTP/AVP 97|{ILBC}"),
        ("bob", 0, "", ONE),
        ("alice", 1, "", ONE),
        ("bob", 0, "", ONE),
    ],
    "5.3": [
        ("alice", 0, "", ONE),
        ("bob", 0, "0.0.0.0", f"m=audio 9322 RTP/AVP 97|{ILBC}"),
        ("bob", 1, "", f"m=audio 49172 RTP/AVP 97|{ILBC}"),
        ("alice", 0, "", ONE),
    ],
}


def text_of(message: Message) -> str:
    """The description of one message, as the RFC has it (its subject is one space)."""
    who, more, address, media = message
    name, version, host = _WHO[who]
    lines = ["v=0", f"o={name} {version + more} IN IP4 {host}", "s= ", f"c=IN IP4 {address or host}", "t=0 0"]
    return "".join(f"{line}\r\n" for line in lines + (media.split("|") if media else []))


def description_of(message: Message) -> SessionDescription:
    """The same, read."""
    return SessionDescription.parse(text_of(message))
