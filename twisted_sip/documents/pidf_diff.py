"""Partial presence, application/pidf-diff+xml: made from two versions of a document, and applied (RFC 5262, 5263).

A diff names components by their identifiers and changes no more than it must: a text, an attribute, an element. The
prefixes that it uses are those of the full document that the watcher got, so that it needs no new declarations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Final
from weakref import WeakKeyDictionary

from lxml import etree

from twisted_sip.documents import cipid, data_model, pidf, rpid
from twisted_sip.documents.pidf import Presence, arranged, has_unqualified
from twisted_sip.documents.xml import SIZE_LIMIT, Element, attributes_of, know, make_element, parse_xml, serialize
from twisted_sip.documents.xml_patch import apply_patch
from twisted_sip.documents.xml_selector import PatchError
from twisted_sip.errors import DocumentError

NAMESPACE: Final = "urn:ietf:params:xml:ns:pidf-diff"
MEDIA_TYPE: Final = "application/pidf-diff+xml"

FULL: Final = f"{{{NAMESPACE}}}pidf-full"
DIFF: Final = f"{{{NAMESPACE}}}pidf-diff"

know(NAMESPACE, "pidf-full", "pidf-diff", "version", "p")

_PREFIXES: Final[dict[str | None, str]] = {
    "p": NAMESPACE,
    "dm": data_model.NAMESPACE,
    "rpid": rpid.NAMESPACE,
    "c": cipid.NAMESPACE,
}
_COMPONENTS = (pidf.TUPLE, data_model.PERSON, data_model.DEVICE)
# Where the version goes in a document that is made once for many watchers.
_VERSION = "4294967295"
_MARK = f'version="{_VERSION}"'.encode()
_ROOT_STEP = re.compile(r"^\s*/?[^/\[\s:]+:pidf-full(?=\s*(?:/|$))")


class _TooDifferent(Exception):
    """A diff cannot be told, or not in fewer bytes than everything."""


def _declared(root: Element) -> dict[str | None, str]:
    """Return the prefixes of a full document that is made of *root*."""
    made = {"pidf" if has_unqualified(root) else None: pidf.NAMESPACE, **_PREFIXES}
    for prefix, uri in root.nsmap.items():
        if prefix is not None and uri not in made.values():
            made.setdefault(prefix, uri)
    return made


def _children(presence: Presence) -> list[Element]:
    return list(arranged(presence.root, presence.root.iterchildren("*")))


def pidf_full(presence: Presence, version: int) -> bytes:
    """Return the whole of *presence* as a <pidf-full> document (RFC 5262 section 3)."""
    halves = presence.variants.get(FULL)
    if not isinstance(halves, tuple):
        root = make_element(FULL, {"entity": presence.entity, "version": _VERSION}, namespaces=_declared(presence.root))
        root.extend(_children(presence))
        halves = presence.variants[FULL] = _halves(root)
    return _numbered(halves, version)


def _halves(root: Element) -> tuple[bytes, bytes]:
    head, _, tail = serialize(root).partition(_MARK)
    return head, tail


def _numbered(halves: tuple[bytes, bytes], version: int) -> bytes:
    return b'%bversion="%d"%b' % (halves[0], version, halves[1])


class HeldPresence:
    """What a watcher holds that was told partial presence: the base of the next diff.

    :ivar presence: the document as the watcher has it.
    :ivar namespaces: the prefixes that its copy declares.
    """

    __slots__ = ("namespaces", "presence")

    def __init__(self, presence: Presence) -> None:
        """Remember *presence*, which has just been told in full."""
        self.presence = presence
        self.namespaces: Mapping[str | None, str] = _declared(presence.root)

    def update(self, presence: Presence, version: int) -> bytes:
        """Return what tells the watcher of *presence*, and take it that the watcher has it then.

        :return: a <pidf-diff>, or a <pidf-full> where that is shorter.
        """
        before = self.presence
        full = pidf_full(presence, version)
        diffs = presence.variants.setdefault(DIFF, WeakKeyDictionary())
        assert isinstance(diffs, WeakKeyDictionary)
        known = diffs.get(before)
        if known is None or known[0] != self.namespaces:
            known = diffs[before] = (self.namespaces, self._diff(before, presence))
        self.presence = presence
        if known[1] is not None and len(body := _numbered(known[1], version)) < len(full):
            return body
        self.namespaces = _declared(presence.root)
        return full

    def _diff(self, before: Presence, after: Presence) -> tuple[bytes, bytes] | None:
        root = make_element(DIFF, {"entity": after.entity, "version": _VERSION}, namespaces=self.namespaces)
        try:
            if before.entity != after.entity or (None in self.namespaces and has_unqualified(after.root)):
                raise _TooDifferent
            _Difference(root, self.namespaces).write(before, after)
        except _TooDifferent:
            return None
        return _halves(root)


def _canonical(element: Element) -> bytes:
    try:
        return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
    except etree.C14NError:
        # It has a namespace that is no absolute URI.
        return etree.tostring(element, with_tail=False)


def _mixed(element: Element) -> bool:
    """Tell whether text stands between the children of *element*."""
    return any(text and text.strip() for text in (element.text, *[child.tail for child in element]))


class _Difference:
    """Writes the operations that make one document of another."""

    def __init__(self, root: Element, namespaces: Mapping[str | None, str]) -> None:
        self.root = root
        self.prefixes = {uri: prefix for prefix, uri in namespaces.items()}

    def write(self, before: Presence, after: Presence) -> None:
        if before is after:
            return
        old, new = self.keyed(_children(before)), self.keyed(_children(after))
        kept = [key for key in old if key in new]
        if kept != [key for key in new if key in old]:
            # What changes its place is told anew.
            raise _TooDifferent
        for number, key in reversed(list(enumerate(old, 1))):
            if key not in new:
                self.operation("remove", self.root_selector(key, old[key], number))
        for key in kept:
            if _canonical(old[key]) != _canonical(new[key]):
                self.changed(self.root_selector(key, old[key], 0), old[key], new[key])
        for number, (key, element) in enumerate(new.items()):
            if key in old:
                continue
            # All that stands before it in the new document is in its place already.
            operation = self.operation("add", f"*/*[{number}]" if number else "*")
            operation.set("pos", "after" if number else "prepend")
            operation.append(deepcopy(element))

    def keyed(self, children: list[Element]) -> dict[tuple[str, ...], Element]:
        """Return *children* by what makes each the same in both documents: its identifier, or all that it says."""
        made: dict[tuple[str, ...], Element] = {}
        for child in children:
            id = child.get("id", "") if child.tag in _COMPONENTS else ""
            key = (child.tag, "id", id) if id else (child.tag, _canonical(child).decode())
            while key in made:
                key = (*key, "")
            made[key] = child
        return made

    def operation(self, name: str, selector: str) -> Element:
        return etree.SubElement(self.root, f"{{{NAMESPACE}}}{name}", {"sel": selector})

    def name(self, tag: str) -> str:
        """Return *tag* as a selector has it."""
        namespace, _, local = tag[1:].rpartition("}")
        prefix = self.prefixes[namespace]
        return f"{prefix}:{local}" if prefix else local

    def root_selector(self, key: tuple[str, ...], element: Element, number: int) -> str:
        """Return what names a child of the root: its identifier, or its *number* where that is known."""
        if len(key) != 3 or key[1] != "id":
            if not number:
                raise _TooDifferent
            return f"*/*[{number}]"
        quote = "'" if "'" not in key[2] else '"'
        if quote in key[2]:
            raise _TooDifferent
        return f"*/{self.name(element.tag)}[@id={quote}{key[2]}{quote}]"

    def changed(self, selector: str, old: Element, new: Element) -> None:
        """Tell how *old* has become *new*, as far inside as they are alike."""
        old_children, new_children = list(old), list(new)
        names = [child.tag for child in old_children]
        alike = (
            names == [child.tag for child in new_children]
            and sorted(old.attrib) == sorted(new.attrib)
            and all(isinstance(name, str) and etree.QName(name).namespace in self.prefixes for name in names)
            and all(not name.startswith("{") or new.get(name) == value for name, value in attributes_of(old).items())
            and (bool(names) or bool(old.text and new.text))
            and not (names and (_mixed(old) or _mixed(new)))
        )
        if not alike:
            copied = deepcopy(new)
            copied.tail = None
            self.operation("replace", selector).append(copied)
            return
        for name, value in attributes_of(new).items():
            if old.get(name) != value:
                self.operation("replace", f"{selector}/@{name}").text = value
        if not names:
            if old.text != new.text:
                self.operation("replace", f"{selector}/text()").text = new.text
            return
        for number, (before, after) in enumerate(zip(old_children, new_children, strict=True)):
            if _canonical(before) == _canonical(after):
                continue
            step = self.name(before.tag)
            if names.count(before.tag) > 1:
                step += f"[{names[: number + 1].count(before.tag)}]"
            self.changed(f"{selector}/{step}", before, after)


def patched(body: bytes, base: Presence | None = None, *, limit: int = SIZE_LIMIT) -> tuple[Presence, int | None]:
    """Return the document that a partial one makes of *base*, and its version, None where it has none.

    :param body: a <pidf-full>, or a <pidf-diff>.
    :param base: what the diff is about.
    :param limit: the most bytes of *body*, and of what it makes.
    :raises PatchError: the diff does not fit *base* (RFC 5262 section 11).
    :raises DocumentError: *body* is no such document, or something is beyond a limit.
    """
    root = parse_xml(body, limit=limit)
    return _patched(root, base, limit), _version_of(root)


def _patched(root: Element, base: Presence | None, limit: int) -> Presence:
    if root.tag == FULL:
        return Presence.of(_renamed(root, {"entity": root.get("entity", "")}))
    if root.tag != DIFF:
        raise DocumentError(f"XML root element is {str(etree.QName(root).localname)[:80]!a}, neither full nor diff")
    if base is None:
        raise PatchError("invalid-diff-format", "there is no full document yet")
    entity = root.get("entity")
    if entity is not None and entity != base.entity:
        raise PatchError("invalid-attribute-value", "entity is that of another document")
    operations = list(root.iterchildren("*"))
    for operation in operations:
        if etree.QName(operation).namespace != NAMESPACE:
            raise PatchError("invalid-patch-directive", "an operation is in another namespace")
        # Here the root is called <presence>, elsewhere it keeps the name that it came with.
        operation.set("sel", _ROOT_STEP.sub("*", operation.get("sel", "")))
    changed = apply_patch(deepcopy(base.root), operations)
    if None in changed.nsmap and has_unqualified(changed):
        changed = _renamed(changed, attributes_of(changed))
    result = Presence.of(changed)
    if result.root.tag != pidf.ROOT or result.entity != base.entity:
        raise PatchError("invalid-root-element-operation", "the document would be another one")
    if len(result.to_xml()) > limit:
        raise DocumentError(f"XML is longer than {limit} bytes", too_large=True)
    return result


def _renamed(root: Element, attributes: Mapping[str, str]) -> Element:
    """Return a <presence> element with all that is in *root*."""
    namespaces: dict[str | None, str] = {"pidf" if has_unqualified(root) else None: pidf.NAMESPACE}
    for prefix, uri in root.nsmap.items():
        if prefix is not None and uri != NAMESPACE:
            namespaces.setdefault(prefix, uri)
    made = make_element(pidf.ROOT, attributes, namespaces=namespaces)
    made.text = root.text
    made.extend(list(root))
    return made


def _version_of(root: Element) -> int | None:
    text = root.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


class ReceivedPresence:
    """What a watcher knows, put together from full and partial documents (RFC 5263 section 4.5).

    :ivar presence: the document now, None before the first full one.
    :ivar version: the version of the last partial document, None before the first.
    """

    __slots__ = ("presence", "version")

    def __init__(self) -> None:
        """Know nothing."""
        self.presence: Presence | None = None
        self.version: int | None = None

    def receive(self, media_type: str, body: bytes) -> bool:
        """Take the body of a NOTIFY.

        :param media_type: application/pidf+xml or application/pidf-diff+xml.
        :return: False where something was missed or does not fit: the subscription is to be refreshed, for that brings
            the full document. :attr:`presence` is what it was then.
        :raises DocumentError: it is no presence document, or beyond a limit.
        """
        if media_type != MEDIA_TYPE:
            # The version is kept for the day when partial documents come again.
            self.presence = Presence.parse(body)
            return True
        root = parse_xml(body)
        version = _version_of(root)
        if self.version is not None and version is not None:
            if version <= self.version:
                # Old: discarded.
                return True
            if version > self.version + 1 and root.tag == DIFF:
                return False
        try:
            self.presence = _patched(root, self.presence, SIZE_LIMIT)
        except PatchError:
            return False
        self.version = version
        return True
