"""Whole documents over a real connection (RFC 4825 sections 7.1 to 7.3, 7.11, 8.1 to 8.5)."""

from __future__ import annotations

import pytest
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from twisted_sip.storage.document_quota import DocumentQuota
from twisted_sip.testing.xcap_site import XCAPSite
from twisted_sip.xcap.client import XCAPChanged, XCAPConflict, XCAPError, XCAPNotFound, XCAPRefused

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
HOME = f"/resource-lists/users/{ALICE}/index"
TYPE = "application/resource-lists+xml"
LISTS = b"""<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
  <list name="friends">
  </list>
</resource-lists>
"""


class DocumentTests(TestCase):
    def setUp(self) -> None:
        self.site = XCAPSite(
            reactor, {ALICE: "a-secret", BOB: "b-secret"}, quota=DocumentQuota(documents=3, octets=2_000)
        )
        self.addCleanup(self.site.stop)
        self.alice = self.site.client(ALICE)

    async def test_made_read_replaced_and_deleted(self) -> None:
        with pytest.raises(XCAPNotFound) as missing:
            await self.alice.get_document("resource-lists")
        assert missing.value.status == 404
        first = await self.alice.put_document("resource-lists", LISTS, TYPE)
        got = await self.alice.get_document("resource-lists")
        assert (got.content, got.etag, got.content_type) == (LISTS, first, TYPE)
        second = await self.alice.put_document("resource-lists", LISTS.replace(b"friends", b"foes"), TYPE)
        assert second and second != first
        await self.alice.delete_document("resource-lists")
        with pytest.raises(XCAPNotFound):
            await self.alice.delete_document("resource-lists")

    async def test_statuses_and_header_fields(self) -> None:
        made = await self.site.ask(ALICE, "PUT", HOME, LISTS, {"Content-Type": TYPE + "; charset=UTF-8"})
        assert made.status == 201 and made.header("etag") and made.body == b""
        again = await self.site.ask(ALICE, "PUT", HOME, LISTS, {"Content-Type": TYPE})
        assert again.status == 200 and again.header("etag") != made.header("etag") and again.body == b""
        got = await self.site.ask(ALICE, "GET", HOME)
        assert (got.status, got.body, got.header("content-type")) == (200, LISTS, TYPE)
        assert got.header("etag") == again.header("etag") and got.header("cache-control") == "no-cache"
        head = await self.site.ask(ALICE, "HEAD", HOME)
        assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(LISTS)))
        gone = await self.site.ask(ALICE, "DELETE", HOME)
        assert (gone.status, gone.header("etag"), gone.body) == (200, "", b"")

    async def test_conditions(self) -> None:
        with pytest.raises(XCAPChanged):
            await self.alice.put_document("resource-lists", LISTS, TYPE, etag="none")
        first = await self.alice.put_document("resource-lists", LISTS, TYPE, create=True)
        with pytest.raises(XCAPChanged):
            await self.alice.put_document("resource-lists", LISTS, TYPE, create=True)
        second = await self.alice.put_document("resource-lists", LISTS, TYPE, etag=first)
        with pytest.raises(XCAPChanged):
            await self.alice.put_document("resource-lists", LISTS, TYPE, etag=first)
        with pytest.raises(XCAPError) as known:
            await self.alice.get_document("resource-lists", etag=second)
        assert known.value.status == 304
        assert (await self.alice.get_document("resource-lists", etag=first)).etag == second
        with pytest.raises(XCAPChanged):
            await self.alice.delete_document("resource-lists", etag=first)
        await self.alice.delete_document("resource-lists", etag=second)
        for condition, status in (("*", 412), ("nonsense tag", 412)):
            answer = await self.site.ask(ALICE, "PUT", HOME, LISTS, {"Content-Type": TYPE, "If-Match": condition})
            assert answer.status == status, condition

    async def test_a_version_that_is_known_has_no_body(self) -> None:
        etag = await self.alice.put_document("resource-lists", LISTS, TYPE)
        answer = await self.site.ask(ALICE, "GET", HOME, headers={"If-None-Match": f'"x", W/"{etag}"'})
        assert (answer.status, answer.body, answer.header("etag")) == (304, b"", f'"{etag}"')

    async def test_others_see_nothing(self) -> None:
        await self.alice.put_document("resource-lists", LISTS, TYPE)
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            for path in (HOME, HOME + "-not-there", f"/resource-lists/users/{'sip:nobody@example.com'}/index"):
                answer = await self.site.ask(BOB, method, path, LISTS, {"Content-Type": TYPE})
                assert answer.status == 403, (method, path)
        with pytest.raises(XCAPRefused):
            await self.site.client(ALICE, password="guess").get_document("resource-lists")

    async def test_what_is_not_there(self) -> None:
        for path in (
            "/unknown-usage/users/sip:alice@example.com/index",
            "/resource-lists/users/sip:alice@elsewhere.example/index",
            "/resource-lists/users/alice/index",
            "/resource-lists/users/sip:alice@example.com",
            "/resource-lists/users/sip:alice@example.com/",
            "/resource-lists/others/sip:alice@example.com/index",
            "/resource-lists",
            "/resource-lists/global/",
            "",
            "/",
            f"/pidf-manipulation/users/{ALICE}/other",
            "/xcap-caps/users/sip:alice@example.com/index",
            "/xcap-caps/global/other",
        ):
            for method in ("GET", "DELETE"):
                assert (await self.site.ask(ALICE, method, path)).status == 404, path

    async def test_the_user_identifier_may_be_written_in_many_ways(self) -> None:
        await self.alice.put_document("resource-lists", LISTS, TYPE)
        for user in (
            "sip%3Aalice%40example.com",
            "alice@example.com",
            "sips:alice@EXAMPLE.com",
            "sip:%61lice@example.com",
        ):
            answer = await self.site.ask(ALICE, "GET", f"/resource-lists/users/{user}/index")
            assert (answer.status, answer.body) == (200, LISTS), user

    async def test_methods(self) -> None:
        answer = await self.site.ask(ALICE, "POST", HOME, b"x")
        assert answer.status == 405
        assert answer.header("allow") == "GET, HEAD, PUT, DELETE, OPTIONS"
        options = await self.site.send("OPTIONS", f"/deep/xcap-root{HOME}")
        assert (options.status, options.header("allow")) == (204, "GET, HEAD, PUT, DELETE, OPTIONS")
        options = await self.site.send("OPTIONS", "/deep/xcap-root/xcap-caps/global/index")
        assert options.header("allow") == "GET, HEAD, OPTIONS"
        answer = await self.site.ask(ALICE, "PUT", "/xcap-caps/global/index", b"<x/>")
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")
        # The global tree is for trusted users to write.
        answer = await self.site.ask(ALICE, "PUT", "/resource-lists/global/index", LISTS, {"Content-Type": TYPE})
        assert answer.status == 403

    async def test_the_type_has_to_be_right(self) -> None:
        for content_type in ("application/xml", "", "application/pidf+xml"):
            answer = await self.site.ask(ALICE, "PUT", HOME, LISTS, {"Content-Type": content_type})
            assert answer.status == 415, content_type

    async def test_quota(self) -> None:
        for number in range(3):
            await self.alice.put_document("resource-lists", LISTS, TYPE, str(number))
        with pytest.raises(XCAPConflict) as refused:
            await self.alice.put_document("resource-lists", LISTS, TYPE, "more")
        assert refused.value.conflict is not None
        assert refused.value.conflict.condition == "constraint-failure" and "quota" in refused.value.conflict.phrase

    async def test_directories_are_not_made(self) -> None:
        with pytest.raises(XCAPConflict) as refused:
            await self.alice.put_document("resource-lists", LISTS, TYPE, "sub/index")
        assert refused.value.conflict is not None
        assert refused.value.conflict.condition == "no-parent"
        assert refused.value.conflict.ancestor == f"{self.site.root}/resource-lists/users/{ALICE}"

    async def test_names_are_any_text(self) -> None:
        await self.alice.put_document("resource-lists", LISTS, TYPE, "größe & %?#")
        assert (await self.alice.get_document("resource-lists", "größe & %?#")).content == LISTS
        found = self.site.store.get("resource-lists", ALICE, "größe & %?#")
        assert found is not None
