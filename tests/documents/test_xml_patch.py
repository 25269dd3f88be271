"""Patch operations (RFC 5261 section 4 and appendix A)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from lxml import etree

from twisted_sip.documents import xml
from twisted_sip.documents.xml import Vocabulary
from twisted_sip.documents.xml_patch import apply_patch, patch_error_document
from twisted_sip.documents.xml_selector import PatchError
from twisted_sip.errors import DocumentError


def patched(document: str, operations: str, namespaces: str = "") -> str:
    root = etree.fromstring(document)
    diff = etree.fromstring(f"<diff {namespaces}>{operations}</diff>")
    return etree.tostring(apply_patch(root, diff), encoding="unicode")


DOC = '<doc><foo a="1">x</foo></doc>'


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        # Section 4.3: <add>.
        ("<doc/>", "<add sel='doc'><foo id='e'>new</foo></add>", '<doc><foo id="e">new</foo></doc>'),
        (DOC, "<add sel='doc'><b/></add>", '<doc><foo a="1">x</foo><b/></doc>'),
        (DOC, "<add sel='doc' pos='prepend'><b/></add>", '<doc><b/><foo a="1">x</foo></doc>'),
        (DOC, "<add sel='doc/foo' pos='before'><!-- c --></add>", '<doc><!-- c --><foo a="1">x</foo></doc>'),
        (DOC, "<add sel='doc/foo' pos='after'>t<b/>u<c/>v</add>", '<doc><foo a="1">x</foo>t<b/>u<c/>v</doc>'),
        ("<doc>a<b/>c</doc>", "<add sel='doc'>d<e/>f</add>", "<doc>a<b/>cd<e/>f</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='doc' pos='prepend'>d<e/>f</add>", "<doc>d<e/>fa<b/>c</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='*/b' pos='before'>d<e/>f</add>", "<doc>ad<e/>f<b/>c</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='*/b' pos='after'>d<e/>f</add>", "<doc>a<b/>d<e/>fc</doc>"),
        ("<doc>a<b/>c<d/>e</doc>", "<add sel='*/d' pos='before'>x</add>", "<doc>a<b/>cx<d/>e</doc>"),
        ("<doc>a</doc>", "<add sel='doc'>b</add>", "<doc>ab</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='*/text()[2]' pos='after'>d<e/>f</add>", "<doc>a<b/>cd<e/>f</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='*/text()[2]' pos='before'>d<e/>f</add>", "<doc>a<b/>d<e/>fc</doc>"),
        ("<doc>a<b/>c</doc>", "<add sel='*/text()[1]' pos='after'><e/></add>", "<doc>a<e/><b/>c</doc>"),
        ("<doc>a<b/></doc>", "<add sel='*/text()[1]' pos='before'><e/></add>", "<doc><e/>a<b/></doc>"),
        ("<doc><!--c--><b/></doc>", "<add sel='*/comment()' pos='after'><e/></add>", "<doc><!--c--><e/><b/></doc>"),
        (DOC, "<add sel='doc/foo' type='@user'>Bob</add>", '<doc><foo a="1" user="Bob">x</foo></doc>'),
        # Section 4.4: <replace>.
        (DOC, "<replace sel='doc/foo[@a=\"1\"]'><bar a='2'/></replace>", '<doc><bar a="2"/></doc>'),
        ("<d>a<b/>c</d>", "<replace sel='d/b'><e/></replace>", "<d>a<e/>c</d>"),
        (DOC, "<replace sel='doc'><new/></replace>", "<new/>"),
        (DOC, "<replace sel='doc/foo/@a'>new</replace>", '<doc><foo a="new">x</foo></doc>'),
        (DOC, "<replace sel='doc/foo/@a'/>", '<doc><foo a="">x</foo></doc>'),
        ("<d><!--a-->t</d>", "<replace sel='d/comment()[1]'><!--b--></replace>", "<d><!--b-->t</d>"),
        (
            "<d><?test a?></d>",
            "<replace sel='d/processing-instruction(\"test\")'><?test b?></replace>",
            "<d><?test b?></d>",
        ),
        (DOC, "<replace sel='doc/foo/text()[1]'>new</replace>", '<doc><foo a="1">new</foo></doc>'),
        (DOC, "<replace sel='doc/foo/text()'/>", '<doc><foo a="1"/></doc>'),
        ("<d><a/>t</d>", "<replace sel='d/text()'>u</replace>", "<d><a/>u</d>"),
        # Section 4.5: <remove>.
        (DOC, "<remove sel='doc/foo'/>", "<doc/>"),
        ("<d>a<b/>c</d>", "<remove sel='d/b'/>", "<d>ac</d>"),
        ("<d><a/>x<b/>c</d>", "<remove sel='d/b'/>", "<d><a/>xc</d>"),
        ("<d> <b/>c</d>", "<remove sel='d/b' ws='before'/>", "<d>c</d>"),
        ("<d>a<b/>\n </d>", "<remove sel='d/b' ws='after'/>", "<d>a</d>"),
        ("<d> <b/> <c/></d>", "<remove sel='d/b' ws='both'/>", "<d><c/></d>"),
        (DOC, "<remove sel='doc/foo/@a'/>", "<doc><foo>x</foo></doc>"),
        ("<d>a<!--c-->b</d>", "<remove sel='d/comment()[1]'/>", "<d>ab</d>"),
        ("<d><?test a?></d>", "<remove sel='d/processing-instruction(\"test\")'/>", "<d/>"),
        ("<d>a<b/>c</d>", "<remove sel='d/text()[1]'/>", "<d><b/>c</d>"),
        ("<d>a<b/>c</d>", "<remove sel='d/text()[2]'/>", "<d>a<b/></d>"),
    ],
)
def test_operation(document: str, operation: str, result: str) -> None:
    assert patched(document, operation) == result


def test_operations_follow_each_other() -> None:
    operations = "<remove sel='d/a'/><add sel='d'><a n='2'/></add><replace sel='d/a/@n'>3</replace>"
    assert patched("<d><a n='1'/></d>", operations) == '<d><a n="3"/></d>'


def test_namespaces_of_what_is_added() -> None:
    """Section 4.2.3: the prefix is that of the target where it has one."""
    result = patched("<d xmlns:b='urn:foo'/>", "<add sel='d'><a:bar a:k='1'/></add>", "xmlns:a='urn:foo'")
    assert result == '<d xmlns:b="urn:foo"><b:bar b:k="1"/></d>'
    result = patched("<d/>", "<add sel='d'><a:bar xmlns:a='urn:foo'/></add>")
    assert result == '<d><a:bar xmlns:a="urn:foo"/></d>'
    result = patched("<x:d xmlns:x='urn:x'/>", "<p:add sel='d'><e/></p:add>", "xmlns='urn:x' xmlns:p='urn:p'")
    assert result == '<x:d xmlns:x="urn:x"><x:e/></x:d>'
    result = patched("<d xmlns:b='urn:foo'/>", "<add sel='d' type='@a:k'>1</add>", "xmlns:a='urn:foo'")
    assert result == '<d xmlns:b="urn:foo" b:k="1"/>'


def test_declarations() -> None:
    """Sections 4.3.3, 4.4.3 and 4.5.3."""
    assert patched("<d k='1'>a<b/>c</d>", "<add sel='d' type='namespace::p'>urn:x</add>") == (
        '<d xmlns:p="urn:x" k="1">a<b/>c</d>'
    )
    inner = patched("<d><b/>t</d>", "<add sel='d/b' type='namespace::p'>urn:x</add>")
    assert inner == '<d><b xmlns:p="urn:x"/>t</d>'
    replaced = patched(
        "<d xmlns:p='urn:x' p:a='1' b='2'><p:e p:k='1' l='2'><f/></p:e></d>",
        "<replace sel='d/namespace::p'>urn:y</replace>",
    )
    assert replaced == '<d xmlns:p="urn:y" p:a="1" b="2"><p:e l="2" p:k="1"><f/></p:e></d>'
    renamed = patched("<p:d xmlns:p='urn:x'/>", "<replace sel='q:d/namespace::p'>urn:y</replace>", "xmlns:q='urn:x'")
    assert renamed == '<p:d xmlns:p="urn:y"/>'
    assert patched("<d xmlns:p='urn:x'><e/></d>", "<remove sel='d/namespace::p'/>") == "<d><e/></d>"


@pytest.mark.parametrize(
    ("document", "operation", "condition"),
    [
        (DOC, "<add sel='doc/none'><b/></add>", "unlocated-node"),
        (DOC, "<add><b/></add>", "invalid-attribute-value"),
        (DOC, "<add sel='doc' pos='inside'><b/></add>", "invalid-attribute-value"),
        (DOC, "<add sel='doc' pos='before'><b/></add>", "invalid-root-element-operation"),
        (DOC, "<add sel='doc' pos='after'><b/></add>", "invalid-root-element-operation"),
        (DOC, "<add sel='doc/foo/@a'><b/></add>", "invalid-node-types"),
        (DOC, "<add sel='doc/foo/@a' pos='after'><b/></add>", "invalid-node-types"),
        ("<d><!--c--></d>", "<add sel='d/comment()'><b/></add>", "invalid-node-types"),
        (DOC, "<add sel='doc/foo/text()' type='@b'>1</add>", "invalid-node-types"),
        (DOC, "<add sel='doc/foo' type='@b'><c/></add>", "invalid-node-types"),
        (DOC, "<add sel='doc/foo' type='@a'>1</add>", "invalid-patch-directive"),
        (DOC, "<add sel='doc/foo' type='@1'>1</add>", "invalid-attribute-value"),
        (DOC, "<add sel='doc/foo' type='@p:b'>1</add>", "invalid-namespace-prefix"),
        (DOC, "<add sel='doc/foo' type='b'>1</add>", "invalid-attribute-value"),
        (DOC, "<add sel='doc/foo' type='namespace::a b'>urn:x</add>", "invalid-attribute-value"),
        (DOC, "<replace sel='doc/foo'>text</replace>", "invalid-node-types"),
        (DOC, "<replace sel='doc/foo'><a/><b/></replace>", "invalid-node-types"),
        (DOC, "<replace sel='doc/foo'><!--c--></replace>", "invalid-node-types"),
        (DOC, "<replace sel='doc/foo/@a'><b/></replace>", "invalid-node-types"),
        (DOC, "<replace sel='doc/foo/text()'><b/></replace>", "invalid-node-types"),
        ("<d xmlns:p='urn:x'/>", "<replace sel='d/namespace::p'/>", "invalid-namespace-uri"),
        (DOC, "<remove sel='doc'/>", "invalid-root-element-operation"),
        (DOC, "<remove sel='doc/foo' ws='none'/>", "invalid-attribute-value"),
        (DOC, "<remove sel='doc/foo' ws='before'/>", "invalid-whitespace-directive"),
        ("<d>a<b/>c</d>", "<remove sel='d/b' ws='both'/>", "invalid-whitespace-directive"),
        (DOC, "<remove sel='doc/foo/@a' ws='after'/>", "invalid-attribute-value"),
        ("<d xmlns:p='urn:x'><p:e/></d>", "<remove sel='d/namespace::p'/>", "invalid-namespace-prefix"),
        ("<d xmlns:p='urn:x'><e p:k='1'/></d>", "<remove sel='d/namespace::p'/>", "invalid-namespace-prefix"),
        (DOC, "<move sel='doc/foo'/>", "invalid-patch-directive"),
    ],
)
def test_what_cannot_be_carried_out(document: str, operation: str, condition: str) -> None:
    with pytest.raises(PatchError) as caught:
        patched(document, operation)
    assert caught.value.condition == condition


def test_error_document(check_schema: Callable[[str, bytes], None]) -> None:
    with pytest.raises(PatchError) as caught:
        patched(DOC, "<p:add sel='none'><b/></p:add>", "xmlns:p='urn:p'")
    body = patch_error_document(caught.value)
    check_schema("patch-ops-error", body)
    assert b'<unlocated-node phrase="unlocated-node: 0 nodes' in body
    assert b'<p:add xmlns:p="urn:p" sel="none"><b/></p:add></unlocated-node>' in body
    assert b"<unlocated-node phrase=" in patch_error_document(PatchError("unlocated-node", "why"))


def test_limits() -> None:
    with pytest.raises(PatchError, match="more than 128"):
        patched("<d/>", "<add sel='d'><b/></add>" * 129)
    with pytest.raises(PatchError, match="too big"):
        patched("<d/>", "<add sel='d'>" + "<b/>" * 5000 + "</add>")


def test_names_told_as_text_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "_vocabulary", Vocabulary(limit=100))
    with pytest.raises(DocumentError, match="never seen before"):
        patched(DOC, f"<add sel='doc' type='@{'a' * 100}'>1</add>")


def test_hostile_diffs_are_cheap() -> None:
    document = "<d>" + "<b>t</b>u" * 3500 + "</d>"
    started = time.process_time()
    patched(document, "<add sel='d/b[2000]' pos='before'>x<c/>y</add>" * 12)
    patched(document, "<remove sel='d/b[2000]'/>" * 12)
    for operation in (
        "<remove sel='d/b[2000]'/>",
        "<remove sel='id(&quot;x&quot;)'/>",
        "<add sel='d/b[.=&quot;x&quot;]'/>",
    ):
        with pytest.raises(PatchError):
            patched(document, operation * 128)
    assert time.process_time() - started < 2
