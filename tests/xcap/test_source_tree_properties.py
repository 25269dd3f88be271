"""Positions in a document's text agree with what the XML library reads there, whatever the document."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from twisted_sip.documents.xml import parse_xml
from twisted_sip.xcap.node_edits import delete_node, fetch, put_attribute, put_element
from twisted_sip.xcap.selectors import Name, NodeSelector, Step
from twisted_sip.xcap.source_tree import Node, read_tree

_names = st.text(string.ascii_letters, min_size=1, max_size=3)
_space = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])
_gap = st.sampled_from([" ", "\n", "  ", "\r\n\t"])
_namespaces = st.sampled_from(["urn:a", "urn:b", "urn:c"])
_value = st.text(st.sampled_from("ab >/='\t\n&\"<é☃"), max_size=6)
_filling = st.sampled_from(
    ["", "text", "&amp;&#65;&#x42;", "<!-- <x> \" ' -->", "<![CDATA[<y a='>'/>]]>", "<?pi <z> ?>", "\n ", "]] > é☃"]
)


def _literal(value: str, quote: str) -> str:
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(quote, "&#34;" if quote == '"' else "&apos;")
    return quote + escaped + quote


@st.composite
def elements(draw: st.DrawFn, depth: int = 3, prefixes: tuple[str, ...] = ()) -> str:
    """An element as text."""
    declared = draw(st.dictionaries(st.sampled_from(["", "p", "q"]), _namespaces, max_size=2))
    prefixes = tuple({*prefixes, *(prefix for prefix in declared if prefix)})
    prefix = draw(st.sampled_from(["", *prefixes]))
    name = f"{prefix}:{draw(_names)}" if prefix else draw(_names)
    quotes = st.sampled_from("\"'")
    written: list[str] = []
    for each, uri in declared.items():
        colon = ":" if each else ""
        equals = f"{draw(_space)}={draw(_space)}"
        written.append(f"{draw(_gap)}xmlns{colon}{each}{equals}{_literal(uri, draw(quotes))}")
    for attribute, value in draw(st.dictionaries(_names, _value, max_size=2)).items():
        written.append(f"{draw(_gap)}{attribute}{draw(_space)}={_literal(value, draw(quotes))}")
    if prefixes and draw(st.booleans()):
        written.append(f" {prefixes[0]}:attr='1'")
    start = f"<{name}{''.join(draw(st.permutations(written)))}{draw(_space)}"
    if depth == 0 or draw(st.booleans()):
        return start + "/>"
    inner = "".join(
        draw(_filling) + draw(elements(depth=depth - 1, prefixes=prefixes)) for _ in range(draw(st.integers(0, 3)))
    )
    return f"{start}>{inner}{draw(_filling)}</{name}{draw(_space)}>"


documents = st.builds(
    lambda head, element, tail: head + element + tail,
    st.sampled_from(["", '<?xml version="1.0"?>\n', "<!-- <a> --><?pi?>"]),
    elements(),
    st.sampled_from(["", "\n", "<!-- </a> -->"]),
)


def _pairs(node: Node, element: etree._Element) -> list[tuple[Node, etree._Element]]:
    children = list(element.iterchildren("*"))
    assert len(children) == len(node.children)
    found = [(node, element)]
    for one, other in zip(node.children, children, strict=True):
        found += _pairs(one, other)
    return found


def _selector(node: Node) -> NodeSelector:
    """Return a selector of *node* by name and position."""
    steps: list[Step] = []
    each: Node | None = node
    while each is not None:
        siblings = [each] if each.parent is None else each.parent.children
        same = [one for one in siblings if (one.namespace, one.local) == (each.namespace, each.local)]
        steps.insert(0, Step(name=Name(each.namespace, each.local), position=same.index(each) + 1))
        each = each.parent
    return NodeSelector(steps=tuple(steps))


@settings(max_examples=150, deadline=None)
@given(documents)
def test_every_node_is_where_the_library_sees_it(text: str) -> None:
    for node, element in _pairs(read_tree(text), parse_xml(text.encode())):
        assert element.tag == (f"{{{node.namespace}}}{node.local}" if node.namespace else node.local)
        attributes = {
            f"{{{each.namespace}}}{each.local}" if each.namespace else each.local: each.value
            for each in node.attributes
        }
        assert attributes == dict(element.attrib)
        assert node.bindings() == {prefix or "": uri for prefix, uri in element.nsmap.items()}
        around = "".join(
            f" xmlns{':' if prefix else ''}{prefix}='{uri}'" for prefix, uri in (node.parent or node).bindings().items()
        )
        alone = parse_xml(f"<around{around}>{text[node.start : node.end]}</around>".encode())[0]
        assert etree.tostring(alone, method="c14n", exclusive=True, with_tail=False) == etree.tostring(
            element, method="c14n", exclusive=True, with_tail=False
        )


@settings(max_examples=100, deadline=None)
@given(documents, st.data())
def test_what_is_put_is_got_and_what_is_deleted_is_gone(text: str, data: st.DataObject) -> None:
    pairs = _pairs(read_tree(text), parse_xml(text.encode()))
    node, _ = data.draw(st.sampled_from(pairs))
    selector = _selector(node)
    source = fetch(text, selector)
    assert source == text[node.start : node.end]
    assert put_element(text, selector, source).text == text
    step = Step(name=Name("urn:new", "new"))
    new = NodeSelector(steps=(*selector.steps, step))
    made = put_element(text, new, '<new xmlns="urn:new"/>')
    assert made.created and fetch(made.text, new) == '<new xmlns="urn:new"/>'
    gone = delete_node(made.text, new)
    assert gone is not None
    # All that is left of it is that an empty-element tag is none any more.
    assert gone.text == text or node.is_empty_tag
    attribute = NodeSelector(steps=selector.steps, attribute=Name("urn:at", "at"), attribute_name="p:at")
    added = put_attribute(text, attribute, "'&lt;v'")
    assert added.created and fetch(added.text, attribute) == "'&lt;v'"
