"""Elements and attributes over a real connection: the examples of RFC 4825 sections 6.4, 10 and 13; conflicts."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from twisted_sip.documents import xcap_error
from twisted_sip.testing.xcap_site import Answer, XCAPSite
from twisted_sip.xcap.client import XCAPChanged, XCAPConflict, XCAPError, XCAPNotFound
from twisted_sip.xcap.usage import ApplicationUsage
from twisted_sip.xcap.validation import validator

BILL = "sip:bill@example.com"
HOME = f"/resource-lists/users/{BILL}/index"
TYPE = "application/resource-lists+xml"
NEW = b"""<?xml version="1.0" encoding="UTF-8"?>
<resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists">
  <list name="friends">
  </list>
</resource-lists>
"""


class ExampleUsage(ApplicationUsage):
    """The usage of the examples in sections 6.4 and 10."""

    auid = "test"
    namespace = "urn:test:default-namespace"
    content_type = "application/test+xml"


def conflict(answer: Answer) -> xcap_error.Conflict:
    assert answer.status == 409 and answer.header("content-type") == "application/xcap-error+xml", answer
    validator(xcap_error.NAMESPACE).check(etree.fromstring(answer.body))
    return xcap_error.parse(answer.body)


class NodeTests(TestCase):
    def setUp(self) -> None:
        self.site = XCAPSite(reactor, {BILL: "b-secret"})
        self.addCleanup(self.site.stop)
        self.bill = self.site.client(BILL)

    async def put(self, path: str, body: bytes, content_type: str = "application/xcap-el+xml") -> Answer:
        return await self.site.ask(BILL, "PUT", path, body, {"Content-Type": content_type})

    async def test_the_examples_of_section_13(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        entry = b"""<entry uri="sip:bob@example.com">
       <display-name>Bob Jones</display-name>
     </entry>"""
        answer = await self.put(f"{HOME}/~~/resource-lists/list%5b@name=%22friends%22%5d/entry", entry)
        assert answer.status == 201 and answer.header("etag")
        fetched = await self.bill.get_document("resource-lists")
        # Figure 28, of which the white space is what counts: the entry stands right before the end of the list.
        assert fetched.content == NEW.replace(b"\n  </list>", b"\n  " + entry + b"</list>")
        close = b"""<list name="close-friends">
      <entry uri="sip:joe@example.com">
        <display-name>Joe Smith</display-name>
      </entry>
      <entry uri="sip:nancy@example.com">
        <display-name>Nancy Gross</display-name>
      </entry>
      <entry uri="sip:petri@example.com">
        <display-name>Petri Aukia</display-name>
      </entry>
   </list>"""
        inner = f"{HOME}/~~/resource-lists/list%5b@name=%22friends%22%5d/list%5b@name=%22close-friends%22%5d"
        assert (await self.put(inner, close)).status == 201
        path = f"{HOME}/~~/resource-lists/list/list/entry%5b@uri=%22sip:petri@example.com%22%5d"
        deleted = await self.site.ask(BILL, "DELETE", path)
        assert deleted.status == 200 and deleted.header("etag")
        assert (await self.site.ask(BILL, "DELETE", path)).status == 404
        got = await self.site.ask(BILL, "GET", f"{HOME}/~~/resource-lists/list/list/entry%5b2%5d/@uri")
        assert (got.status, got.body) == (200, b'"sip:nancy@example.com"')
        assert got.header("content-type") == "application/xcap-att+xml"
        assert got.header("etag") == deleted.header("etag")

    async def test_elements_by_the_client(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        node = 'resource-lists/list[@name="frien&amp;ds / ]"]'
        element = b'<list name="frien&amp;ds / ]"/>'
        first = await self.bill.put_element("resource-lists", node, element)
        got = await self.bill.get_element("resource-lists", node)
        assert (got.content, got.etag, got.content_type) == (element, first, "application/xcap-el+xml")
        second = await self.bill.put_element("resource-lists", node, element, etag=first)
        with pytest.raises(XCAPChanged):
            await self.bill.put_element("resource-lists", node, element, etag=first)
        with pytest.raises(XCAPChanged):
            await self.bill.delete_element("resource-lists", node, etag=first)
        third = await self.bill.delete_element("resource-lists", node, etag=second)
        with pytest.raises(XCAPNotFound):
            await self.bill.get_element("resource-lists", node)
        assert (await self.bill.get_document("resource-lists")).etag == third

    async def test_attributes_by_the_client(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        prefix = {"x": "urn:x-(odd)"}
        await self.bill.put_attribute("resource-lists", "resource-lists/list/@x:note", 'a "b" <&>', namespaces=prefix)
        got = await self.bill.get_attribute("resource-lists", "resource-lists/list/@x:note", namespaces=prefix)
        assert got == 'a "b" <&>'
        await self.bill.put_attribute("resource-lists", "resource-lists/list/@name", "foes")
        await self.bill.delete_attribute("resource-lists", "resource-lists/list/@x:note", namespaces=prefix)
        with pytest.raises(XCAPNotFound):
            await self.bill.get_attribute("resource-lists", "resource-lists/list/@x:note", namespaces=prefix)
        assert b'name="foes"' in (await self.bill.get_document("resource-lists")).content
        with pytest.raises(XCAPError) as wrong:
            await self.bill.get_attribute("resource-lists", "resource-lists/list")
        assert wrong.value.status == 200

    async def test_the_namespaces_of_sections_6_4_and_10(self) -> None:
        self.site.usages.add(ExampleUsage())
        document = b"""<?xml version="1.0"?>
   <foo xmlns="urn:test:default-namespace">
     <ns1:bar xmlns:ns1="urn:test:namespace1-uri"
              xmlns="urn:test:namespace1-uri">
       <baz/>
       <ns2:baz xmlns:ns2="urn:test:namespace2-uri"/>
     </ns1:bar>
     <ns3:hi xmlns:ns3="urn:test:namespace3-uri">
       <there/>
     </ns3:hi>
   </foo>"""
        await self.bill.put_document("test", document, "application/test+xml")
        home = f"/test/users/{BILL}/index/~~"
        one, two = "urn:test:namespace1-uri", "urn:test:namespace2-uri"
        for path, found in (
            (f"/foo/a:bar/b:baz?xmlns(a={one})xmlns(b={one})", b"<baz/>"),
            (f"/foo/a:bar/b:baz?xmlns(a={one})%20xmlns(b={two})", b'<ns2:baz xmlns:ns2="urn:test:namespace2-uri"/>'),
            (
                f"/d:foo/a:bar/b:baz?element(/1)xmlns(a={one})xmlns(b={two})xmlns(d=urn:test:default-namespace)",
                b'<ns2:baz xmlns:ns2="urn:test:namespace2-uri"/>',
            ),
            ("/foo/*", None),
            ("/foo/*[2]/there", b"<there/>"),
        ):
            answer = await self.site.ask(BILL, "GET", home + path)
            assert (answer.status, answer.body if found else None) == (200 if found else 404, found), path
        path = f"{home}/df:foo/df2:bar/df2:baz/namespace::*?xmlns(df=urn:test:default-namespace)xmlns(df2={one})"
        answer = await self.site.ask(BILL, "GET", path)
        assert answer.header("content-type") == "application/xcap-ns+xml"
        assert answer.body == b'<baz xmlns="urn:test:namespace1-uri" xmlns:ns1="urn:test:namespace1-uri"/>'
        for method in ("PUT", "DELETE"):
            answer = await self.site.ask(BILL, method, path, b"<baz/>", {"Content-Type": "application/xcap-el+xml"})
            assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, OPTIONS")
        options = await self.site.send("OPTIONS", f"/deep/xcap-root{home}/foo/namespace::*")
        assert options.header("allow") == "GET, HEAD, OPTIONS"

    async def test_there_is_no_parent(self) -> None:
        answer = await self.put(f"{HOME}/~~/resource-lists/list", b"<list/>")
        told = conflict(answer)
        assert (told.condition, told.ancestor) == ("no-parent", f"{self.site.root}/resource-lists/users/{BILL}")
        await self.bill.put_document("resource-lists", NEW, TYPE)
        for path, ancestor in (
            ("/other/list/entry", ""),
            ("/resource-lists/list%5b@name=%22x%22%5d/entry", "/~~/resource-lists"),
            ("/resource-lists/list%5b1%5d/list/entry?xmlns(a=urn:a)", "/~~/resource-lists/list%5B1%5D?xmlns(a=urn:a)"),
        ):
            told = conflict(await self.put(f"{HOME}/~~{path}", b"<entry uri='sip:a@b'/>"))
            assert (told.condition, told.ancestor) == ("no-parent", f"{self.site.root}{HOME}{ancestor}")
        told = conflict(await self.put(f"{HOME}/~~/resource-lists/list/list/@name", b'"x"', "application/xcap-att+xml"))
        assert told.condition == "no-parent"

    async def test_conflicts(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        before = (await self.bill.get_document("resource-lists")).content
        el, att = "application/xcap-el+xml", "application/xcap-att+xml"
        named = "/resource-lists/list%5b@name=%22friends%22%5d"
        cases: list[tuple[str, bytes, str, str]] = [
            (HOME, b"<resource-lists", TYPE, "not-well-formed"),
            (HOME, NEW.decode().encode("utf-16"), TYPE, "not-utf-8"),
            (HOME, NEW.replace(b"UTF-8", b"ISO-8859-1"), TYPE, "not-utf-8"),
            (HOME, NEW.replace(b"friends", b"\xff"), TYPE, "not-utf-8"),
            (HOME, NEW.decode().encode("utf-16-le"), TYPE, "not-utf-8"),
            (HOME, NEW, TYPE + ";charset=utf-16", "not-utf-8"),
            (HOME, NEW.replace(b"<list", b"<lost").replace(b"</list", b"</lost"), TYPE, "schema-validation-error"),
            (HOME, b"<resource-lists/>", TYPE, "schema-validation-error"),
            (HOME, NEW.replace(b"</resource", b"<list name='friends'/></resource"), TYPE, "uniqueness-failure"),
            (f"{HOME}/~~{named}", b"<list name='friends'>", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"<list name='friends'/><list/>", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"text", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"<list name='friends'/> text", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"</around><list name='friends'/><around>", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"<x:list name='friends'/>", el, "not-xml-frag"),
            (f"{HOME}/~~{named}", b"<list name='\xff'/>", el, "not-utf-8"),
            (f"{HOME}/~~{named}", b"<list name='foes'/>", el, "cannot-insert"),
            (f"{HOME}/~~{named}", b"<entry uri='sip:a@b'/>", el, "cannot-insert"),
            (f"{HOME}/~~/resource-lists/list%5b3%5d", b"<list name='x'/>", el, "cannot-insert"),
            (f"{HOME}/~~/other", b"<other/>", el, "cannot-insert"),
            (f"{HOME}/~~{named}/bogus", b"<bogus/>", el, "schema-validation-error"),
            (f"{HOME}/~~{named}/entry", b"<entry/>", el, "schema-validation-error"),
            (f"{HOME}/~~{named}/@name", b'"foes"', att, "cannot-insert"),
            (f"{HOME}/~~{named}/@other", b'"x"', att, "schema-validation-error"),
            (f"{HOME}/~~{named}/@name", b"friends", att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b"'a' b='c'", att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b'"a<b"', att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b'"&unknown;"', att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b'"&#0;"', att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b'"\x01"', att, "not-xml-att-value"),
            (f"{HOME}/~~{named}/@name", b'"\xff"', att, "not-utf-8"),
        ]
        for path, body, content_type, condition in cases:
            answer = await self.put(path, body, content_type)
            assert conflict(answer).condition == condition, (path, body, answer)
        for content_type in ("application/xml", TYPE, att):
            assert (await self.put(f"{HOME}/~~{named}", b"<list name='friends'/>", content_type)).status == 415
        assert (await self.put(f"{HOME}/~~{named}/@name", b'"friends"', el)).status == 415
        assert (await self.bill.get_document("resource-lists")).content == before

    async def test_what_cannot_be_deleted(self) -> None:
        lists = NEW.replace(b"</resource", b"<list name='b'/><list name='c'/></resource")
        await self.bill.put_document("resource-lists", lists, TYPE)

        async def delete(path: str) -> Answer:
            return await self.site.ask(BILL, "DELETE", f"{HOME}/~~/resource-lists{path}")

        assert conflict(await delete("/list%5b1%5d")).condition == "cannot-delete"
        assert conflict(await delete("/*%5b2%5d")).condition == "cannot-delete"
        assert conflict(await delete("")).condition == "schema-validation-error"
        assert (await delete("/list")).status == 404
        assert (await delete("/list%5b3%5d")).status == 200
        assert (await delete("/list%5b2%5d%5b@name='b'%5d")).status == 200
        assert (await delete("/list/@name")).status == 200
        assert (await delete("/list/@name")).status == 404
        assert (await self.site.ask(BILL, "DELETE", f"{HOME}-none/~~/a")).status == 404
        await self.bill.put_element("resource-lists", "resource-lists/list/entry", b"<entry uri='sip:a@b'/>")
        told = conflict(await delete("/list/entry/@uri"))
        assert told.condition == "schema-validation-error"

    async def test_selectors_that_are_wrong(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        for path, status in (
            ("", 400),
            ("/", 400),
            ("/x:list", 400),
            ("/resource-lists/list%5b@x:a='b'%5d", 400),
            ("/resource-lists/@x:a", 400),
            ("/resource-lists/list()", 404),
            ("/resource-lists/list%5bposition()=1%5d", 404),
            ("/resource-lists//list", 404),
            ("/resource-lists/list%5b0%5d", 404),
            ("/resource-lists/list%5b9999999999%5d", 404),
            ("/resource-lists/list?xmlns(a", 400),
            ("/resource-lists/list?garbage", 400),
            ("/resource-lists/list?xmlns(nonsense)", 400),
            ("/resource-lists/list%ff", 400),
            ("/resource-lists/list%5b@a='&#0;'%5d", 400),
            ("/" + "a/" * 70, 400),
        ):
            answer = await self.site.ask(BILL, "GET", f"{HOME}/~~{path}")
            assert answer.status == status, (path, answer)
        for separator in ("%7E%7E", "~%7e"):
            assert (await self.site.ask(BILL, "GET", f"{HOME}/{separator}/resource-lists/list")).status == 200

    async def test_insertion_with_what_the_document_has_in_scope(self) -> None:
        await self.bill.put_document("resource-lists", NEW, TYPE)
        element = b'<list xmlns="urn:ietf:params:xml:ns:resource-lists" name="again"/>'
        await self.bill.put_element("resource-lists", 'resource-lists/list[@name="again"]', element)
        # Redundant declarations stay (section 8.2.3).
        got = await self.bill.get_element("resource-lists", 'resource-lists/list[@name="again"]')
        assert got.content == element
        with pytest.raises(XCAPConflict):
            await self.bill.put_element(
                "resource-lists", 'resource-lists/list[@name="b"]', b'<list xmlns="" name="b"/>'
            )


def test_a_conflict_is_an_error_with_a_reason() -> None:
    error: Any = XCAPConflict("why", status=409)
    assert str(error) == "why" and error.conflict is None
