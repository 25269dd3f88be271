"""The application usages over a real connection (RFC 4826 sections 3.4 and 4.4, RFC 5025 9, RFC 4827, RFC 4825 12)."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from twisted_sip.documents import pres_rules, rls_services, xcap_caps
from twisted_sip.documents.permissions import SubHandling
from twisted_sip.documents.rls_services import RLSService, RLSServices
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.storage.service_index import ServiceIndex
from twisted_sip.testing.document_contract import document
from twisted_sip.testing.xcap_site import XCAPSite
from twisted_sip.xcap.client import XCAPConflict
from twisted_sip.xcap.selectors import DocumentSelector
from twisted_sip.xcap.usages import RLSServices as RLSServicesUsage
from twisted_sip.xcap.validation import SCHEMA_FILES, Validator, validator

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
ROBOT = "sip:robot@example.com"
LISTS = "application/resource-lists+xml"
SERVICES = "application/rls-services+xml"
RULES = "application/auth-policy+xml"
NS = 'xmlns="urn:ietf:params:xml:ns:resource-lists"'

RULESET = b"""<?xml version="1.0" encoding="UTF-8"?>
   <cr:ruleset xmlns="urn:ietf:params:xml:ns:pres-rules"
    xmlns:pr="urn:ietf:params:xml:ns:pres-rules"
    xmlns:cr="urn:ietf:params:xml:ns:common-policy">
    <cr:rule id="a">
     <cr:conditions>
      <cr:identity>
       <cr:one id="sip:user@example.com"/>
      </cr:identity>
     </cr:conditions>
     <cr:actions>
      <pr:sub-handling>allow</pr:sub-handling>
     </cr:actions>
     <cr:transformations>
      <pr:provide-services>
        <pr:service-uri-scheme>sip</pr:service-uri-scheme>
        <pr:service-uri-scheme>mailto</pr:service-uri-scheme>
      </pr:provide-services>
      <pr:provide-persons>
        <pr:all-persons/>
      </pr:provide-persons>
      <pr:provide-activities>true</pr:provide-activities>
      <pr:provide-user-input>bare</pr:provide-user-input>
       <pr:provide-unknown-attribute
        ns="urn:vendor-specific:foo-namespace"
        name="foo">true</pr:provide-unknown-attribute>
     </cr:transformations>
    </cr:rule>
   </cr:ruleset>"""

PRESENCE = b"""<?xml version="1.0" encoding="UTF-8"?>
        <presence xmlns="urn:ietf:params:xml:ns:pidf"
             xmlns:rp="urn:ietf:params:xml:ns:pidf:rpid"
             xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
             xmlns:ci="urn:ietf:params:xml:ns:pidf:cipid"
             entity="sip:someone@example.com">
          <tuple id="x8eg92m">
            <status>
              <basic>closed</basic>
            </status>
            <rp:user-input>idle</rp:user-input>
            <rp:class>auth-1</rp:class>
            <contact priority="0.5">sip:user@example.com</contact>
            <note>I'm available only by e-mail.</note>
            <timestamp>2004-02-06T16:49:29Z</timestamp>
          </tuple>
          <tuple id="x8eg92n">
            <status>
              <basic>open</basic>
            </status>
            <rp:class>auth-1</rp:class>
            <contact priority="1.0">mailto:someone@example.com</contact>
            <note>I'm reading mail a couple of times a week</note>
          </tuple>
          <dm:person id="p1">
             <rp:class>auth-A</rp:class>
             <ci:homepage>http://www.example.com/~someone</ci:homepage>
             <rp:activities>
                 <rp:vacation/>
             </rp:activities>
          </dm:person>
        </presence>"""


class UsageTests(TestCase):
    def setUp(self) -> None:
        self.site = XCAPSite(reactor, {ALICE: "a-secret", BOB: "b-secret", ROBOT: "r-secret"}, trusted=(ROBOT,))
        self.addCleanup(self.site.stop)
        self.alice, self.bob, self.robot = map(self.site.client, (ALICE, BOB, ROBOT))

    async def refused(self, put: Any) -> Any:
        with pytest.raises(XCAPConflict) as refused:
            await put
        assert refused.value.conflict is not None
        return refused.value.conflict

    # -- presence rules ------------------------------------------------------------

    async def test_presence_rules(self) -> None:
        namespaces = {"cr": "urn:ietf:params:xml:ns:common-policy", "pr": pres_rules.NAMESPACE}
        for auid in ("pres-rules", "org.openmobilealliance.pres-rules"):
            await self.alice.put_document(auid, RULESET, RULES)
            rule = 'cr:ruleset/cr:rule[@id="a"]'
            got = await self.alice.get_element(auid, f"{rule}/cr:actions/pr:sub-handling", namespaces=namespaces)
            assert got.content == b"<pr:sub-handling>allow</pr:sub-handling>"
            block = b"<pr:sub-handling>block</pr:sub-handling>"
            await self.alice.put_element(auid, f"{rule}/cr:actions/pr:sub-handling", block, namespaces=namespaces)
            body = (await self.alice.get_document(auid)).content
            handling, _ = pres_rules.evaluate(
                pres_rules.parse(body), "sip:user@example.com", sphere=None, now=0.0, authenticated=True
            )
            assert handling is SubHandling.BLOCK
        # The default namespace of each is its own.
        await self.alice.get_element("org.openmobilealliance.pres-rules", "ruleset/rule")
        told = await self.refused(
            self.alice.put_element("pres-rules", "cr:ruleset/cr:rule", b"<rule/>", namespaces=namespaces)
        )
        assert told.condition == "cannot-insert"

    async def test_presence_rules_that_are_wrong(self) -> None:
        for old, new in (
            (b">allow<", b">alow<"),
            (b'id="a"', b""),
            (b"<pr:provide-activities>true", b"<pr:provide-activities>perhaps"),
            (b"<pr:provide-user-input>bare</pr:provide-user-input>", b"<pr:provide-hats>true</pr:provide-hats>"),
            (b"<cr:actions>", b"<cr:actions><cr:bogus/>"),
        ):
            assert old in RULESET
            told = await self.refused(self.alice.put_document("pres-rules", RULESET.replace(old, new), RULES))
            assert told.condition == "schema-validation-error" and told.phrase, new
        told = await self.refused(
            self.alice.put_document("pres-rules", b'<deviceID xmlns="urn:ietf:params:xml:ns:pres-rules"/>', RULES)
        )
        assert told.condition == "schema-validation-error"

    async def test_what_is_unknown_where_the_schema_has_room_for_it_is_let_in(self) -> None:
        rules = RULESET.replace(
            b"</cr:conditions>", b'<o:other-identity xmlns:o="urn:oma:xml:xdm:common-policy"/></cr:conditions>'
        ).replace(b"</cr:actions>", b'<x:new xmlns:x="urn:x">1</x:new></cr:actions>')
        await self.alice.put_document("pres-rules", rules, RULES)

    # -- presence that stands -------------------------------------------------------

    async def test_the_example_of_rfc_4827(self) -> None:
        await self.alice.put_document("pidf-manipulation", PRESENCE, "application/pidf+xml")
        note = b"<note>I'm reading mails on Tuesdays and Fridays</note>"
        path = f"/pidf-manipulation/users/{ALICE}/index/~~/presence/tuple%5b@id='x8eg92n'%5d/note"
        answer = await self.site.ask(ALICE, "PUT", path, note, {"Content-Type": "application/xcap-el+xml"})
        assert answer.status == 200
        got = await self.alice.get_document("pidf-manipulation")
        assert got.content == PRESENCE.replace(b"<note>I'm reading mail a couple of times a week</note>", note)
        told = await self.refused(
            self.alice.put_document("pidf-manipulation", PRESENCE.replace(b">open<", b">ajar<"), "application/pidf+xml")
        )
        assert told.condition == "schema-validation-error"

    # -- resource lists ------------------------------------------------------------------

    async def test_what_must_be_unique_in_lists(self) -> None:
        for inner, fields in (
            ("<list name='a'/><list name='a'/>", ["resource-lists/list%5B2%5D/@name"]),
            ("<list><entry uri='u'/><entry uri='U'/><entry uri='u'/></list>",
             ["resource-lists/list%5B1%5D/entry%5B3%5D/@uri"]),
            ("<list><entry-ref ref='u'/><entry-ref ref='u'/></list>",
             ["resource-lists/list%5B1%5D/entry-ref%5B2%5D/@ref"]),
            ("<list><external anchor='http://a/'/><external anchor='http://a/'/></list>",
             ["resource-lists/list%5B1%5D/external%5B2%5D/@anchor"]),
        ):  # fmt: skip
            body = f"<resource-lists {NS}>{inner}</resource-lists>".encode()
            told = await self.refused(self.alice.put_document("resource-lists", body, LISTS))
            assert (told.condition, [each.field for each in told.exists]) == ("uniqueness-failure", fields)
        same = "<entry uri='u'/>" * 1000
        body = f"<resource-lists {NS}><list>{same}</list></resource-lists>".encode()
        told = await self.refused(self.alice.put_document("resource-lists", body, LISTS))
        assert len(told.exists) == 10

    async def test_what_references_in_lists_look_like(self) -> None:
        for inner in (
            "<entry-ref ref='/resource-lists/users/x'/>",
            "<entry-ref ref='http://a/resource-lists'/>",
            "<entry-ref ref='//['/>",
            "<external anchor='resource-lists/users/x'/>",
            "<external anchor='sip:a@b'/>",
            "<external anchor='http://['/>",
        ):
            body = f"<resource-lists {NS}><list>{inner}</list></resource-lists>".encode()
            told = await self.refused(self.alice.put_document("resource-lists", body, LISTS))
            assert told.condition in ("constraint-failure", "schema-validation-error"), inner
        good = "<entry-ref ref='resource-lists/users/sip:a@b/index/~~/x'/><external anchor='https://a/b'/><external/>"
        body = f"<resource-lists {NS}><list name='one'>{good}</list><list/><list/></resource-lists>".encode()
        await self.alice.put_document("resource-lists", body, LISTS)

    # -- list services -----------------------------------------------------------------------

    def services(self, *services: RLSService) -> bytes:
        return rls_services.build(RLSServices(services))

    def service(self, uri: str, owner: str = ALICE, root: str = "") -> RLSService:
        reference = f"{root or self.site.root}/resource-lists/users/{owner}/index/~~/resource-lists/list"
        return RLSService(uri=uri, resource_list=reference, packages=("presence",))

    async def test_service_uris_are_unique_on_the_server(self) -> None:
        one, two = "sip:friends@example.com", "sip:work@example.com"
        await self.alice.put_document("rls-services", self.services(self.service(one), self.service(two)), SERVICES)
        await self.alice.put_document("rls-services", self.services(self.service(one)), SERVICES)
        for taken in (one, "sip:friends@EXAMPLE.com", ALICE):
            told = await self.refused(
                self.bob.put_document("rls-services", self.services(self.service(taken, BOB)), SERVICES)
            )
            assert told.condition == "uniqueness-failure"
            assert told.exists[0].field == "rls-services/service%5B1%5D/@uri"
            assert told.exists[0].alternatives == (taken.replace("@", "-2@"),)
        told = await self.refused(
            self.alice.put_document("rls-services", self.services(self.service(one)), SERVICES, "other")
        )
        assert told.condition == "uniqueness-failure"
        await self.bob.put_document("rls-services", self.services(self.service(two, BOB)), SERVICES)
        await self.alice.delete_document("rls-services")
        await self.bob.put_document("rls-services", self.services(self.service(one, BOB)), SERVICES)
        assert self.site.index.owner_of(one) == BOB and self.site.index.owner_of(two) is None
        twice = self.services(self.service(two, BOB)).replace(
            b"</rls-services>", b'<service uri="sip:work@example.com"><list/></service></rls-services>'
        )
        told = await self.refused(self.bob.put_document("rls-services", twice, SERVICES))
        assert [each.field for each in told.exists] == [f"rls-services/service%5B{n}%5D/@uri" for n in (1, 2)]

    async def test_of_two_who_want_a_uri_at_once_one_gets_it(self) -> None:
        held: list[Deferred[bool]] = []

        def ask(uri: str) -> Deferred[bool]:
            held.append(Deferred())
            return held[-1]

        self.site.usages["rls-services"]._is_taken = ask  # type: ignore[attr-defined]
        uri = "sip:friends@example.com"
        first = Deferred.fromCoroutine(
            self.alice.put_document("rls-services", self.services(self.service(uri)), SERVICES)
        )
        while not held:
            await self.wait()
        self.site.usages["rls-services"]._is_taken = lambda uri: succeed(False)  # type: ignore[attr-defined]
        told = await self.refused(
            self.bob.put_document("rls-services", self.services(self.service(uri, BOB)), SERVICES)
        )
        assert told.condition == "uniqueness-failure"
        held[0].callback(False)
        await first
        assert self.site.index.owner_of(uri) == ALICE

    def wait(self) -> Deferred[None]:
        """Let the reactor turn."""
        waited: Deferred[None] = Deferred()
        reactor.callLater(0, waited.callback, None)
        return waited

    async def test_where_the_list_of_a_service_may_be(self) -> None:
        good = "sip:new@example.com"
        for service in (
            self.service(good, BOB),
            self.service(good, root="http://elsewhere.example/other"),
            RLSService(uri=good, resource_list="resource-lists/users/x"),
            RLSService(uri=good, resource_list=f"{self.site.root}/rls-services/users/{ALICE}/index"),
            RLSService(uri=good, resource_list=f"{self.site.root}/resource-lists/users/%ff/index"),
        ):
            told = await self.refused(self.alice.put_document("rls-services", self.services(service), SERVICES))
            assert told.condition == "constraint-failure", service
        inner = f"""<rls-services xmlns="urn:ietf:params:xml:ns:rls-services"
            xmlns:rl="urn:ietf:params:xml:ns:resource-lists"><service uri="{good}"><list>
            <rl:entry uri="sip:joe@example.com"/><rl:entry uri="sip:joe@example.com"/></list></service>
            </rls-services>"""
        told = await self.refused(self.alice.put_document("rls-services", inner.encode(), SERVICES))
        assert told.condition == "uniqueness-failure"
        assert told.exists[0].field == "rls-services/service%5B1%5D/list%5B1%5D/*%5B2%5D/@uri"
        await self.alice.put_document("rls-services", inner.replace("joe", "j", 1).encode(), SERVICES)
        many = self.services(*[self.service(f"sip:{number}@example.com") for number in range(101)])
        told = await self.refused(self.alice.put_document("rls-services", many, SERVICES))
        assert told.condition == "constraint-failure"

    async def test_the_index_of_all_services_is_for_trusted_elements(self) -> None:
        await self.alice.put_document("rls-services", self.services(self.service("sip:a@example.com")), SERVICES)
        await self.bob.put_document("rls-services", self.services(self.service("sip:b@example.com", BOB)), SERVICES)
        await self.bob.put_document(
            "rls-services", self.services(self.service("sip:c@example.com", BOB)), SERVICES, "not-index"
        )
        path = "/rls-services/global/index"
        assert (await self.site.ask(ALICE, "GET", path)).status == 403
        index = await self.robot.get_document("rls-services", shared=True)
        uris = [service.uri for service in rls_services.parse(index.content).services]
        assert uris == ["sip:a@example.com", "sip:b@example.com"]
        one = f"{path}/~~/rls-services/service%5b@uri=%22sip:b@example.com%22%5d"
        answer = await self.site.ask(ROBOT, "GET", one)
        assert answer.status == 200 and answer.header("etag") == f'"{index.etag}"'
        assert (await self.site.ask(ROBOT, "PUT", path, b"<x/>")).status == 405
        found = await self.site.index.find("sip:b@example.com")
        assert found is not None and found[0] == BOB and found[1].serves("presence") and not found[1].serves("x")
        assert await self.site.index.find("sip:c@example.com") is None
        assert await self.site.index.find("sip:d@example.com") is None

    # -- capabilities and directory ---------------------------------------------------------------

    async def test_capabilities(self) -> None:
        told = await self.alice.capabilities()
        assert set(told.auids) == {
            "xcap-caps", "pres-rules", "org.openmobilealliance.pres-rules", "resource-lists", "rls-services",
            "pidf-manipulation", "org.openmobilealliance.xcap-directory",
        }  # fmt: skip
        assert {"urn:ietf:params:xml:ns:xcap-caps", "urn:ietf:params:xml:ns:pres-rules"} <= set(told.namespaces)
        answer = await self.site.ask(ALICE, "GET", "/xcap-caps/global/index/~~/xcap-caps/auids/auid%5b1%5d")
        assert answer.body == b"<auid>xcap-caps</auid>"
        got = await self.alice.get_document(xcap_caps.AUID, shared=True)
        validator(xcap_caps.NAMESPACE).check(etree.fromstring(got.content))
        assert got.etag == (await self.bob.get_document(xcap_caps.AUID, shared=True)).etag

    async def test_the_directory_of_a_user(self) -> None:
        etag = await self.alice.put_document("pres-rules", RULESET, RULES, "größe")
        path = f"/org.openmobilealliance.xcap-directory/users/{ALICE}/directory.xml"
        assert (await self.site.ask(BOB, "GET", path)).status == 403
        answer = await self.site.ask(ALICE, "GET", path)
        assert answer.header("content-type") == "application/vnd.oma.xcap-directory+xml"
        (folder,) = etree.fromstring(answer.body)
        (entry,) = folder
        assert folder.get("auid") == "pres-rules"
        assert dict(entry.attrib) == {
            "uri": f"{self.site.root}/pres-rules/users/{ALICE}/gr%C3%B6%C3%9Fe",
            "etag": etag,
            "last-modified": "2027-01-15T08:00:00Z",
            "size": str(len(RULESET)),
        }
        assert (await self.site.ask(ALICE, "GET", path + "/~~/xcap-directory/folder/@auid")).body == b'"pres-rules"'

    async def test_a_trusted_user_reads_and_writes_everything(self) -> None:
        path = f"/pres-rules/users/{ALICE}/index"
        answer = await self.site.ask(ROBOT, "PUT", path, RULESET, {"Content-Type": RULES})
        assert answer.status == 201
        assert (await self.alice.get_document("pres-rules")).content == RULESET
        answer = await self.site.ask(ROBOT, "PUT", "/pres-rules/global/all", RULESET, {"Content-Type": RULES})
        assert answer.status == 201
        assert (await self.bob.get_document("pres-rules", "all", shared=True)).content == RULESET


def test_every_schema_that_is_shipped_can_be_used() -> None:
    for namespace in SCHEMA_FILES:
        assert Validator((namespace,)).namespaces == {namespace}


def test_documents_that_cannot_be_read_are_left_out_of_the_index() -> None:
    store = MemoryDocumentStore()
    store.put(document(auid="rls-services", content=b"no xml"))
    made: list[Any] = []
    usage = RLSServicesUsage(ServiceIndex(store))
    selector = DocumentSelector(auid="rls-services", name="index")
    Deferred.fromCoroutine(usage.make(store, selector, "")).addCallback(made.append)
    assert rls_services.parse(made[0].content) == RLSServices()
