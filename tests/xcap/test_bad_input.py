"""What strangers and broken clients send: refused with a reason, in bounded time, without a trace in the store."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import TestCase
from twisted.web.server import Request as PlainRequest

from twisted_sip.documents import xcap_error
from twisted_sip.errors import DocumentConflict, StoreError, StoreFull
from twisted_sip.storage.documents_memory import MemoryDocumentStore
from twisted_sip.testing.xcap_site import MOUNT, Answer, XCAPSite

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
TYPE = "application/resource-lists+xml"
ELEMENT = "application/xcap-el+xml"
HOME = f"/resource-lists/users/{ALICE}/index"
NS = "urn:ietf:params:xml:ns:resource-lists"
LISTS = f'<resource-lists xmlns="{NS}"><list name="a"/></resource-lists>'.encode()


def lists(inner: str, head: str = "") -> bytes:
    return f'{head}<resource-lists xmlns="{NS}">{inner}</resource-lists>'.encode()


class BadInputTests(TestCase):
    def setUp(self) -> None:
        self.site = self.made()

    def made(self, **how: Any) -> XCAPSite:
        site = XCAPSite(reactor, {ALICE: "a-secret", BOB: "b-secret"}, **how)
        self.addCleanup(site.stop)
        return site

    async def put(self, body: bytes, path: str = HOME, content_type: str = TYPE) -> Answer:
        return await self.site.ask(ALICE, "PUT", path, body, {"Content-Type": content_type})

    async def test_declarations_of_types_and_entities(self) -> None:
        billion = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
        for head in (
            "<!DOCTYPE resource-lists>",
            '<!DOCTYPE resource-lists SYSTEM "file:///etc/passwd">',
            f'<!DOCTYPE resource-lists [<!ENTITY e0 "ha">{billion}]>',
            '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>',
        ):
            answer = await self.put(lists('<list name="&e9;"/>' if "e9" in head else "", head))
            assert answer.status == 409, head
            told = xcap_error.parse(answer.body)
            assert told.condition == "constraint-failure" and "document type" in told.phrase
        answer = await self.put(lists("<list name='&undefined;'/>"))
        assert xcap_error.parse(answer.body).condition == "not-well-formed"
        assert self.site.store.names("resource-lists", ALICE) == []

    async def test_declarations_in_fragments(self) -> None:
        await self.put(LISTS)
        for fragment in (
            b"<!DOCTYPE list><list name='b'/>",
            b"<?xml version='1.0'?><list name='b'/>",
            b"<!-- --><list name='b'/>",
            b"<![CDATA[ ]]><list name='b'/>",
            b"<list name='b'/><?pi?>",
            b"&#32;<list name='b'/>",
            b"<!-- <list name='b'/> -->",
            b"",
        ):
            answer = await self.put(fragment, f"{HOME}/~~/resource-lists/list%5b@name='b'%5d", ELEMENT)
            assert answer.status == 409, fragment
        assert self.site.store.get("resource-lists", ALICE, "index").content == LISTS

    async def test_what_is_deep_long_or_has_too_much_of_something(self) -> None:
        deep = "<list>" * 70 + "</list>" * 70
        many = "<list/>" * 30_000
        wide = "<list " + " ".join(f"x:a{n}='1'" for n in range(100)) + " xmlns:x='urn:x'/>"
        for inner in (deep, many, wide):
            assert (await self.put(lists(inner))).status == 413, inner[:20]
        assert (await self.put(LISTS)).status == 201
        inner = "<list name='b'>" + "<list>" * 70 + "</list>" * 70 + "</list>"
        answer = await self.put(inner.encode(), f"{HOME}/~~/resource-lists/list%5b@name='b'%5d", ELEMENT)
        assert answer.status == 413
        near = lists("<list name='a'>" + "<!--" + "x" * 262_000 + "--></list>")
        assert (await self.put(near)).status == 200
        site = self.made(document_limit=2000)
        body = lists("<list name='a'>" + "<!--" + "x" * 1700 + "--></list>")
        assert (await site.ask(ALICE, "PUT", HOME, body, {"Content-Type": TYPE})).status == 201
        entry = b"<entry uri='sip:%s@example.com'/>" % (b"x" * 300)
        answer = await site.ask(ALICE, "PUT", f"{HOME}/~~/resource-lists/list/entry", entry, {"Content-Type": ELEMENT})
        assert answer.status == 413

    async def test_long_bodies(self) -> None:
        body = lists(f"<!-- {'x' * 1_000_000} -->")
        assert (await self.put(body)).status == 413
        # Nothing is kept of a body that nobody has been proved to have sent.
        assert (await self.site.send("PUT", f"{MOUNT}{HOME}", body)).status == 401
        assert (await self.site.send("PUT", f"{MOUNT}{HOME}", body, pieces=50_000)).status == 401
        plain = self.made(request_factory=PlainRequest)
        assert (await plain.ask(ALICE, "PUT", HOME, body, {"Content-Type": TYPE})).status == 413
        assert (await plain.ask(ALICE, "PUT", HOME, LISTS, {"Content-Type": TYPE})).status == 201

    async def test_declarations_of_namespaces_without_end(self) -> None:
        declared = " ".join(f"xmlns:n{number}='urn:{number}'" for number in range(200))
        assert (
            await self.put(
                lists(f"<list name='a' {declared}>{'<list xmlns:x=' + chr(34) + 'urn:x' + chr(34) + '/>'}</list>")
            )
        ).body == b""
        answer = await self.site.ask(ALICE, "GET", f"{HOME}/~~/resource-lists/list/namespace::*")
        assert answer.status == 200 and b"n199" in answer.body

    async def test_ways_out_of_the_home_directory(self) -> None:
        self.site.store.put(self.document(BOB))
        for path in (
            f"/resource-lists/users/{ALICE}/../{BOB}/index",
            f"/resource-lists/users/{ALICE}/%2e%2e/{BOB}/index",
            f"/resource-lists/users/{ALICE}/..%2f{BOB}%2findex",
            f"/resource-lists/users/{ALICE}/..%5c{BOB}",
            f"/resource-lists/users/{ALICE}//index",
            f"/resource-lists/users/{ALICE}/./index",
            f"/resource-lists/users/{ALICE}/.",
            "/resource-lists/users/../global/index",
            "/../../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/./users/x@example.com/index",
            "/a%2fb/users/x@example.com/index",
        ):
            for method in ("GET", "PUT", "DELETE"):
                answer = await self.site.ask(ALICE, method, path, LISTS, {"Content-Type": TYPE})
                assert answer.status == 404, (path, answer)

    async def test_escapes_and_control_characters(self) -> None:
        for path in (f"{HOME}%00", f"{HOME}%0d%0aX:%20y", f"{HOME}%ff", f"{HOME}%C3%28", f"{HOME}\u00e4", f"{HOME}%7f"):
            assert (await self.site.ask(ALICE, "GET", path)).status == 400, path
        for user in ("alice%00@example.com", "sip:alice@example.com%0d%0a", "sip:a%FFb@example.com"):
            assert (await self.site.ask(ALICE, "GET", f"/resource-lists/users/{user}/index")).status == 400, user
        for user in ("tel:+358555", "sip:example.com", "sip:alice:pw@example.com", "sip:alice@example.com;x=y", "<>"):
            assert (await self.site.ask(ALICE, "GET", f"/resource-lists/users/{user}/index")).status == 404, user
        assert (await self.put(LISTS, f"{HOME}%")).status == 201, "a percent sign that escapes nothing is itself"
        assert (await self.site.ask(ALICE, "GET", f"{HOME}/~~/{'a' * 9000}")).status == 414

    async def test_line_ends_in_what_comes_back(self) -> None:
        answer = await self.put(
            LISTS, f"{HOME}/~~/resource-lists/list%5b@name='%0d%0aSet-Cookie:%20x'%5d/entry", ELEMENT
        )
        assert answer.status == 400 and not answer.header("set-cookie")
        body = lists("<list name='a&#13;&#10;b: c'/>")
        assert (await self.put(body)).status == 201
        answer = await self.site.ask(ALICE, "GET", f"{HOME}/~~/resource-lists/list/@name")
        assert answer.body == b"'a&#13;&#10;b: c'"

    async def test_stores_that_fail(self) -> None:
        class Failing(MemoryDocumentStore):
            error: StoreError = StoreError("the disk is gone")

            def put(self, document: Any, replaces: str = "") -> Deferred[None]:
                return fail(self.error)

        store = Failing()
        self.site = self.made(store=store)
        for error, status, retry in (
            (StoreError("the disk is gone"), 500, ""),
            (StoreFull("too much waits"), 503, "10"),
            (DocumentConflict("again"), 503, "1"),
        ):
            store.error = error
            answer = await self.put(LISTS)
            assert (answer.status, answer.header("retry-after")) == (status, retry)
        self.flushLoggedErrors()

    async def test_a_server_that_fails_says_so(self) -> None:
        class Broken(MemoryDocumentStore):
            def get(self, auid: str, owner: str, name: str) -> Any:
                raise RuntimeError("a mistake")

        self.site = self.made(store=Broken())
        answer = await self.site.ask(ALICE, "GET", HOME)
        assert answer.status == 500 and b"mistake" not in answer.body
        assert len(self.flushLoggedErrors(RuntimeError)) == 1

    async def test_documents_in_the_store_that_are_no_text(self) -> None:
        self.site.store.put(self.document(ALICE, b"\xff"))
        assert (await self.site.ask(ALICE, "GET", HOME)).status == 200
        assert (await self.site.ask(ALICE, "GET", f"{HOME}/~~/a")).status == 500

    async def test_who_goes_away_before_the_answer(self) -> None:
        held: list[Deferred[Any]] = []

        class Slow(MemoryDocumentStore):
            def get(self, auid: str, owner: str, name: str) -> Any:
                held.append(Deferred())
                return held[-1]

        self.site = self.made(store=Slow())
        asked = Deferred.fromCoroutine(self.site.ask(ALICE, "GET", HOME))
        asked.addErrback(lambda failure: None)
        while not held:
            turned: Deferred[None] = Deferred()
            reactor.callLater(0, turned.callback, None)
            await turned
        asked.cancel()
        for reader in reactor.getReaders():
            if type(reader).__name__ == "Client":
                reader.abortConnection()
        for _ in range(5):
            turned = Deferred()
            reactor.callLater(0, turned.callback, None)
            await turned
        held[0].callback(None)
        assert self.flushLoggedErrors() == []

    async def test_of_changes_at_once_none_is_lost(self) -> None:
        await self.put(LISTS)

        class Racing(MemoryDocumentStore):
            """Lets somebody else be faster, so often."""

            races = 0

            def put(self, document: Any, replaces: str = "") -> Deferred[None]:
                if self.races:
                    self.races -= 1
                    return fail(DocumentConflict("faster"))
                return super().put(document, replaces)

        store = Racing()
        self.site = self.made(store=store)
        store.races = 4
        assert (await self.put(LISTS)).status == 201
        store.races = 5
        assert (await self.put(LISTS)).status == 503

    def document(self, owner: str, content: bytes = LISTS) -> Any:
        from twisted_sip.interfaces.documents import Document

        return Document(auid="resource-lists", owner=owner, name="index", etag="1", content=content)
