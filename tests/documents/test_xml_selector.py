"""Selectors of patch operations (RFC 5261 section 4.1 and 4.2)."""

from __future__ import annotations

import time

import pytest
from lxml import etree

from twisted_sip.documents.xml_selector import AttributeNode, Effort, NamespaceNode, Node, PatchError, TextNode, locate

DOCUMENT = etree.fromstring(
    b"""<doc a="1" xmlns:q="urn:q" q:b="2">first<foo id="x"><bar>one</bar></foo><!--c1-->
<foo id="y"><bar>two</bar><bar>three</bar></foo><?test a?><?other b?><q:foo q:k="v" xmlns:r="urn:r"/>"""
    b"<!--c2-->last</doc>"
)
NAMESPACES: dict[str | None, str] = {"z": "urn:q"}


def shown(node: Node) -> object:
    if isinstance(node, TextNode):
        return (node.parent.text if node.behind is None else node.behind.tail or "").strip()
    if isinstance(node, AttributeNode):
        return node.name
    if isinstance(node, NamespaceNode):
        return node.prefix
    return (node.get("id") or node.text) if isinstance(node.tag, str) else node.text


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("doc/foo[@id='x']", "x"),
        ('/doc/foo[@id="y"]', "y"),
        ("*/foo[2]", "y"),
        ("*/*[1]", "x"),
        ("doc/*[3]", None),
        ("*/*[3]", None),
        ("*/z:foo", None),
        ("*/z:foo[@z:k='v']", None),
        ("*/foo[bar='three']", "y"),
        ("*/foo/bar[.='two']", "two"),
        ("*/foo[2]/bar[2]", "three"),
        ("*/foo/bar[2]", "three"),
        ("*/foo[@id='y'][2]/bar[1]", PatchError),
        ("*/foo[@id = 'y']/bar[ 1 ]", "two"),
        ("id('y')/bar[1]", "two"),
        ('id("x")', "x"),
        ("doc/@a", "a"),
        ("*/foo[1]/@id", "id"),
        ("doc/@z:b", "{urn:q}b"),
        ("doc/text()[1]", "first"),
        ("doc/text()[3]", "last"),
        ("*/foo[1]/bar/text()", "one"),
        ("doc/comment()[2]", "c2"),
        ("doc/processing-instruction('test')", "a"),
        ("doc/processing-instruction()[2]", "b"),
        ("doc/namespace::q", "q"),
        ("*/z:foo/namespace::r", "r"),
        ("doc", "first"),
        ("*", "first"),
    ],
)
def test_locate(selector: str, found: object) -> None:
    if found is PatchError:
        with pytest.raises(PatchError):
            locate(DOCUMENT, selector, NAMESPACES)
    else:
        assert shown(locate(DOCUMENT, selector, NAMESPACES)) == found


@pytest.mark.parametrize(
    ("selector", "condition"),
    [
        ("doc/foo", "unlocated-node"),
        ("doc/none", "unlocated-node"),
        ("other", "unlocated-node"),
        ("doc/foo[9]", "unlocated-node"),
        ("doc/foo[0]", "unlocated-node"),
        ("doc/@none", "unlocated-node"),
        ("doc/foo/@id", "unlocated-node"),
        ("doc/text()", "unlocated-node"),
        ("doc/text()[0]", "unlocated-node"),
        ("doc/text()[9]", "unlocated-node"),
        ("doc/comment()", "unlocated-node"),
        ("doc/processing-instruction('none')", "unlocated-node"),
        ("doc/namespace::none", "unlocated-node"),
        ("doc/foo[1]/namespace::q", "unlocated-node"),
        ("id('z')", "unlocated-node"),
        ("doc/none:foo", "invalid-namespace-prefix"),
        ("doc/foo[@none:a='1']", "invalid-namespace-prefix"),
        ("", "invalid-attribute-value"),
        ("/", "invalid-attribute-value"),
        ("//foo", "invalid-attribute-value"),
        ("doc//foo", "invalid-attribute-value"),
        ("doc/", "invalid-attribute-value"),
        ("doc/foo[last()]", "invalid-attribute-value"),
        ("doc/foo[@id='x' or 1]", "invalid-attribute-value"),
        ("doc/foo[position()=1]", "invalid-attribute-value"),
        ("doc/foo | doc", "invalid-attribute-value"),
        ("doc/../doc", "invalid-attribute-value"),
        ("doc/foo[@id='x", "invalid-attribute-value"),
        ("document('file:///etc/passwd')", "invalid-attribute-value"),
        ("doc/text('x')", "invalid-attribute-value"),
        ("doc/@a/b", "invalid-attribute-value"),
        ("doc/1", "invalid-attribute-value"),
        ("*/" * 600 + "*", "invalid-attribute-value"),
    ],
)
def test_what_is_not_located(selector: str, condition: str) -> None:
    with pytest.raises(PatchError) as caught:
        locate(DOCUMENT, selector, NAMESPACES)
    assert caught.value.condition == condition
    assert caught.value.reason.startswith(condition) and caught.value.reason.isascii()


def test_default_namespace_of_the_diff() -> None:
    """Section 4.2.1: a name without prefix is in the default namespace of the diff, or in none."""
    root = etree.fromstring(b"<x:a xmlns:x='urn:x' k='1'><x:b/></x:a>")
    assert locate(root, "a/b", {None: "urn:x"}) is root[0]
    # Attributes have no default namespace.
    assert locate(root, "a[@k='1']/@k", {None: "urn:x"}) == AttributeNode(root, "k")
    for namespaces in ({}, {None: "urn:y"}):
        with pytest.raises(PatchError):
            locate(root, "a/b", namespaces)


def test_texts_inside_count() -> None:
    root = etree.fromstring(b"<a><b>x<i>y</i><!--c-->z</b><b>y</b></a>")
    assert locate(root, "a/b[.='xyz']", {}) is root[0]
    assert locate(root, "a[b='xyz']", {}) is root
    assert locate(root, "a/b[i='y']", {}) is root[0]


def test_namespaces_of_the_root() -> None:
    root = etree.fromstring(b"<a xmlns:x='urn:x'/>")
    assert locate(root, "a/namespace::x", {}) == NamespaceNode(root, "x")


def test_position_counts_among_the_children_of_each_parent() -> None:
    root = etree.fromstring(b"<a><b><c/></b><b><c/><c n='1'/></b></a>")
    assert locate(root, "a/b/c[2]", {}) is root[1][1]
    with pytest.raises(PatchError):
        locate(root, "a/b/c[1]", {})


def test_hostile_selectors_are_cheap() -> None:
    root = etree.fromstring("<a>" + "<b id='x'>y</b>" * 4000 + "</a>")
    started = time.process_time()
    for selector in ("a/b" + "[.='y']" * 100, "a/b[@id='" + "x" * 900 + "']", "a/" + "b:" * 400, "[" * 1000):
        with pytest.raises(PatchError):
            locate(root, selector, {})
    assert time.process_time() - started < 0.5
    effort = Effort(9000)
    assert locate(root, "a/b[17]", {}, effort) is root[16]
    with pytest.raises(PatchError, match="too much effort"):
        locate(root, "a/b[17]", {}, effort)
