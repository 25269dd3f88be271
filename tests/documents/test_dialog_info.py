"""application/dialog-info+xml (RFC 4235 section 4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from twisted_sip.documents.dialog_info import (
    DialogInfoDocument,
    DialogTable,
    DialogTarget,
    Identity,
    Participant,
    ReplacedDialog,
    ReportedDialog,
)
from twisted_sip.errors import DocumentError, LocalProtocolError

Check = Callable[[str, bytes], None]

# Section 4.2.
SAMPLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="urn:ietf:params:xml:ns:dialog-info"
  version="1" state="full">
  <dialog id="123456">
     <state>confirmed</state>
     <duration>274</duration>
     <local>
       <identity display="Alice">sip:alice@example.com</identity>
       <target uri="sip:alice@pc33.example.com">
         <param pname="isfocus" pval="true"/>
         <param pname="class" pval="personal"/>
       </target>
     </local>
     <remote>
       <identity display="Bob">sip:bob@example.org</identity>
       <target uri="sip:bobster@phone21.example.org"/>
     </remote>
  </dialog>
</dialog-info>"""


def document(version: int, full: bool, *dialogs: ReportedDialog) -> DialogInfoDocument:
    return DialogInfoDocument(version=version, full=full, entity="sip:alice@example.com", dialogs=dialogs)


def test_the_sample_is_read() -> None:
    read = DialogInfoDocument.parse(SAMPLE)
    assert (read.version, read.full, read.entity) == (1, True, "")
    (dialog,) = read.dialogs
    assert (dialog.id, dialog.state, dialog.duration) == ("123456", "confirmed", 274)
    assert dialog.local == Participant(
        identities=(Identity("sip:alice@example.com", "Alice"),),
        target=DialogTarget("sip:alice@pc33.example.com", (("isfocus", "true"), ("class", "personal"))),
    )
    assert dialog.remote is not None and dialog.remote.identities[0].display == "Bob"


def test_what_is_written_is_valid_and_reads_back(check_schema: Check) -> None:
    made = document(
        4,
        False,
        ReportedDialog(
            id="a",
            state="terminated",
            event="rejected",
            code=486,
            call_id="c'\"<&>",
            local_tag="l",
            remote_tag="r",
            direction="recipient",
            duration=9,
            replaces=ReplacedDialog("x", "y", "z"),
            referred_by=Identity("sip:carol@example.com", "Carol"),
            route_set=("<sip:p1;lr>", "<sip:p2;lr>"),
            local=Participant(
                identities=(Identity("tel:+1"),),
                target=DialogTarget("sip:a@192.0.2.1", (("description", "Alice's desk & office"),)),
                session_description=("application/sdp", "v=0\r\n"),
                cseq=5,
            ),
            remote=Participant(),
        ),
        ReportedDialog(id="b", state="trying"),
    )
    body = made.to_xml()
    check_schema("dialog-info", body)
    assert DialogInfoDocument.parse(body) == made


def test_the_name_of_the_schema_is_read_too() -> None:
    body = SAMPLE.replace(b'display="Alice"', b'display-name="Alice"')
    local = DialogInfoDocument.parse(body).dialogs[0].local
    assert local is not None and local.identities[0].display == "Alice"


@pytest.mark.parametrize(
    "body",
    [
        SAMPLE.replace(b"<state>confirmed</state>", b""),
        SAMPLE.replace(b'id="123456"', b""),
        SAMPLE.replace(b'pname="class"', b""),
        SAMPLE.replace(b'version="1"', b'version="-1"'),
        SAMPLE.replace(b"<duration>", b'<replaces call-id="x" local-tag="y"/><duration>'),
        b"<!DOCTYPE x>" + SAMPLE,
    ],
)
def test_what_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(DocumentError):
        DialogInfoDocument.parse(body)


@pytest.mark.parametrize(
    "dialog",
    [
        ReportedDialog(id="a", state="ringing"),
        ReportedDialog(id="a", state="terminated", event="bored"),
        ReportedDialog(id="a", state="early", code=99),
        ReportedDialog(id="a", state="early", direction="sideways"),
    ],
)
def test_what_makes_no_sense_is_not_written(dialog: ReportedDialog) -> None:
    with pytest.raises(LocalProtocolError):
        document(0, True, dialog).to_xml()


def test_the_table_puts_partial_documents_together() -> None:
    table = DialogTable()
    alice = Participant(identities=(Identity("sip:alice@example.com"),), cseq=1)
    assert not table.busy
    assert table.receive(document(0, True, ReportedDialog(id="a", state="trying", local=alice, remote=alice)))
    # Section 4.1.6: what is not told again is as it was.
    target = Participant(target=DialogTarget("sip:a@192.0.2.1"), cseq=2)
    assert table.receive(document(1, False, ReportedDialog(id="a", state="early", local=target)))
    known = table.dialogs["a"]
    assert known.state == "early" and known.remote == alice
    assert known.local == Participant(identities=alice.identities, target=target.target, cseq=2)
    assert table.receive(document(2, False, ReportedDialog(id="a", state="confirmed", local=Participant())))
    assert table.dialogs["a"].local == known.local
    assert table.receive(document(2, False, ReportedDialog(id="b", state="trying")))
    assert list(table.dialogs) == ["a"] and table.busy
    assert not table.receive(document(4, False, ReportedDialog(id="a", state="terminated")))
    assert not table.busy
    assert table.receive(document(9, True))
