"""What presence rules grant (RFC 5025)."""

from __future__ import annotations

from twisted_sip.documents.permissions import NO_PERMISSIONS, Permissions, Selection, SubHandling, UserInput
from twisted_sip.documents.pres_rules import evaluate, parse

USER = "sip:user@example.com"


def rules(*bodies: str) -> bytes:
    inner = "".join(f'<cr:rule id="r{number}">{body}</cr:rule>' for number, body in enumerate(bodies))
    return f"""<cr:ruleset xmlns="urn:ietf:params:xml:ns:pres-rules" xmlns:pr="urn:ietf:params:xml:ns:pres-rules"
        xmlns:cr="urn:ietf:params:xml:ns:common-policy">{inner}</cr:ruleset>""".encode()


def granted(*bodies: str, watcher: str = USER, authenticated: bool = True) -> Permissions:
    handling, permissions = evaluate(parse(rules(*bodies)), watcher, sphere=None, now=0.0, authenticated=authenticated)
    assert handling is permissions.sub_handling
    return permissions


WHO = f'<cr:conditions><cr:identity><cr:one id="{USER}"/></cr:identity></cr:conditions>'


def test_the_example_of_section_6() -> None:
    body = f"""{WHO}<cr:actions><pr:sub-handling>allow</pr:sub-handling></cr:actions>
     <cr:transformations>
      <pr:provide-services>
        <pr:service-uri-scheme>sip</pr:service-uri-scheme>
        <pr:service-uri-scheme>mailto</pr:service-uri-scheme>
      </pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons>
      <pr:provide-activities>true</pr:provide-activities>
      <pr:provide-user-input>bare</pr:provide-user-input>
      <pr:provide-unknown-attribute ns="urn:vendor-specific:foo-namespace"
        name="foo">true</pr:provide-unknown-attribute>
     </cr:transformations>"""
    assert granted(body) == Permissions(
        sub_handling=SubHandling.ALLOW,
        services=Selection(service_uri_schemes=frozenset(("sip", "mailto"))),
        persons=Selection(all=True),
        attributes=frozenset(("activities",)),
        user_input=UserInput.BARE,
        unknown_attributes=frozenset((("urn:vendor-specific:foo-namespace", "foo"),)),
    )
    assert granted(body, watcher="sip:other@example.com") == NO_PERMISSIONS
    assert granted(body, authenticated=False) == NO_PERMISSIONS


def test_every_value_of_the_handling_and_the_greatest_of_several() -> None:
    for text, handling in (
        ("block", SubHandling.BLOCK),
        (" confirm ", SubHandling.CONFIRM),
        ("polite-block", SubHandling.POLITE_BLOCK),
        ("allow", SubHandling.ALLOW),
        ("ALLOW", SubHandling.BLOCK),
        ("", SubHandling.BLOCK),
    ):
        one = f"<cr:actions><pr:sub-handling>{text}</pr:sub-handling></cr:actions>"
        assert granted(one).sub_handling is handling
        block = "<cr:actions><pr:sub-handling>block</pr:sub-handling></cr:actions>"
        assert granted(block, one).sub_handling is handling
    assert granted('<cr:actions><x:sub-handling xmlns:x="urn:x">allow</x:sub-handling></cr:actions>') == NO_PERMISSIONS


def test_sets_are_united() -> None:
    # Section 3.3.1.1.
    one = """<cr:transformations><pr:provide-devices><deviceID>urn:uuid:f81d4fae</deviceID><class>biz</class>
        </pr:provide-devices></cr:transformations>"""
    two = """<cr:transformations><pr:provide-devices><class>home</class><class>biz</class><class/><unknown>x</unknown>
        </pr:provide-devices></cr:transformations>"""
    assert granted(one, two).devices == Selection(
        classes=frozenset(("home", "biz")), device_ids=frozenset(("urn:uuid:f81d4fae",))
    )
    everything = """<cr:transformations><pr:provide-devices><all-devices/></pr:provide-devices>
        <pr:provide-services><all-devices/><service-uri>sip:a@b</service-uri><occurrence-id>o</occurrence-id>
        </pr:provide-services></cr:transformations>"""
    found = granted(everything)
    assert found.devices.all and not found.services.all
    assert found.services == Selection(service_uris=frozenset(("sip:a@b",)), occurrence_ids=frozenset(("o",)))


def test_attributes() -> None:
    body = """<cr:transformations><pr:provide-note>1</pr:provide-note><pr:provide-mood>false</pr:provide-mood>
        <pr:provide-place-is>true</pr:provide-place-is><pr:provide-hats>true</pr:provide-hats><pr:note>true</pr:note>
        <x:provide-class xmlns:x="urn:x">true</x:provide-class><pr:provide-user-input>silly</pr:provide-user-input>
        <pr:provide-unknown-attribute ns="u">true</pr:provide-unknown-attribute>
        <pr:provide-unknown-attribute ns="u" name="n">false</pr:provide-unknown-attribute></cr:transformations>"""
    assert granted(body) == Permissions(attributes=frozenset(("note", "place-is")))
    every = "<cr:transformations><pr:provide-all-attributes/></cr:transformations>"
    assert granted(body, every).all_attributes


def test_all_documents_of_a_presentity_count() -> None:
    allow = parse(rules(f"{WHO}<cr:actions><pr:sub-handling>allow</pr:sub-handling></cr:actions>"))
    block = parse(rules("<cr:actions><pr:sub-handling>block</pr:sub-handling></cr:actions>"))
    handling, _ = evaluate([block, allow], USER, sphere=None, now=0.0, authenticated=True)
    assert handling is SubHandling.ALLOW
    assert evaluate([], USER, sphere=None, now=0.0, authenticated=True) == (SubHandling.BLOCK, NO_PERMISSIONS)
