"""Which parts of a body a recipient is to understand (RFC 5621 sections 6 to 9)."""

from __future__ import annotations

import pytest

from twisted_sip.errors import RemoteProtocolError
from twisted_sip.message.media_types import ContentDisposition, MediaType
from twisted_sip.message.multipart import BodyPart, understood_parts

SDP, PLAIN, LIST = "application/sdp", "text/plain", "application/resource-lists+xml"


def part(media_type: str, disposition: str = "", handling: str = "", content_id: str = "") -> BodyPart:
    made = None
    if disposition:
        made = ContentDisposition(disposition, (("handling", handling),) if handling else ())
    return BodyPart(content_type=MediaType(media_type), body=b"x", disposition=made, content_id=content_id)


def several(subtype: str, *parts: BodyPart, handling: str = "", start: str = "") -> BodyPart:
    return BodyPart(
        content_type=MediaType(f"multipart/{subtype}", (("start", start),) if start else ()),
        disposition=ContentDisposition("render", (("handling", handling),)) if handling else None,
        parts=parts,
    )


def test_default_dispositions() -> None:
    assert part(SDP).disposition_type == "session"
    assert part(PLAIN).disposition_type == "render"
    assert part(PLAIN, "Icon").disposition_type == "icon"


def test_single_part() -> None:
    assert understood_parts(part(PLAIN), {PLAIN})
    with pytest.raises(RemoteProtocolError) as caught:
        understood_parts(part(PLAIN), {SDP})
    assert caught.value.status == 415
    with pytest.raises(RemoteProtocolError):
        understood_parts(part(PLAIN, "icon"), {PLAIN})
    assert understood_parts(part(PLAIN, "icon", "optional"), {PLAIN}) == []
    assert understood_parts(part(PLAIN, "render", "required"), {PLAIN})


def test_mixed() -> None:
    text, lists = part(PLAIN), part(LIST, "recipient-list")
    body = several("mixed", text, lists)
    assert understood_parts(body, {PLAIN, LIST}, {"render", "recipient-list"}) == [text, lists]
    with pytest.raises(RemoteProtocolError) as caught:
        understood_parts(body, {PLAIN})
    assert caught.value.status == 415
    # The whole may be left out where it is optional, whatever its parts require (section 8.2).
    assert understood_parts(several("mixed", text, lists, handling="optional"), {PLAIN}) == []
    assert understood_parts(several("mixed", text, part(LIST, "x", "optional")), {PLAIN}) == [text]
    assert understood_parts(several("parallel", text), {PLAIN}) == [text]


def test_alternative_is_the_last_one_understood() -> None:
    plain, html = part(PLAIN), part("text/html")
    assert understood_parts(several("alternative", plain, html), {PLAIN, "text/html"}) == [html]
    assert understood_parts(several("alternative", plain, html), {PLAIN}) == [plain]
    optional = part("text/html", "render", "optional")
    assert understood_parts(several("alternative", plain, optional), {PLAIN}) == [plain]
    with pytest.raises(RemoteProtocolError):
        understood_parts(several("alternative", optional), {PLAIN})
    assert understood_parts(several("alternative", html, handling="optional"), {PLAIN}) == []
    rich = several("related", html)
    assert understood_parts(several("alternative", plain, rich), {PLAIN, "text/html"}) == [html]


def test_related_is_its_root() -> None:
    root, image = part("text/html", content_id="r@x"), part("image/png")
    assert understood_parts(several("related", image, root, start="<r@x>"), {"text/html"}) == [root]


def test_by_reference() -> None:
    lists = part(LIST, "by-reference", content_id="l@x")
    assert understood_parts(lists, {LIST}, references={"l@x"}) == [lists]
    with pytest.raises(RemoteProtocolError):
        understood_parts(lists, {LIST})
    with pytest.raises(RemoteProtocolError):
        understood_parts(part(LIST, "by-reference"), {LIST}, references={"", "l@x"})
    assert understood_parts(part(LIST, "by-reference", "optional", "l@x"), {LIST}) == []
