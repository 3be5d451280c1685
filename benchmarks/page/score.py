"""Engraved scores made small: what is drawn alone, with the signs of music defined once a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from xml.etree import ElementTree

__all__ = ["Glyphs", "slim"]

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_LINE = re.compile(r"M(-?[\d.]+) (-?[\d.]+) L(-?[\d.]+) (-?[\d.]+)")
_PLACED = re.compile(r"translate\((-?[\d.]+), ?(-?[\d.]+)\)(?: scale\((-?[\d.]+), ?(-?[\d.]+)\))?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
#: Room around a score, and the height of a letter, in the engraver's units.
ROOM, LETTER = 120, 315


class Glyphs:
    """The signs of music that scores on one page share.

    Attributes:
        shapes: a sign's id -> its SVG path, as high as it is drawn.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.shapes: dict[str, str] = {}

    def add(self, code: str, scale: tuple[float, float], shape: str) -> str:
        """Return the id of a sign at a size, defining it where it is new."""
        name = f"{code}-{100 * scale[0]:.0f}"
        path = f'<path id="{name}" transform="scale({scale[0]:g} {-scale[1]:g})" d="{shape}"/>'
        self.shapes.setdefault(name, path)
        return name

    @property
    def svg(self) -> str:
        """The definitions, as an SVG that shows nothing."""
        inside = "".join(self.shapes[name] for name in sorted(self.shapes))
        return f'<svg class="hidden" aria-hidden="true"><defs>{inside}</defs></svg>'


def slim(page: str, glyphs: Glyphs, label: str) -> str:
    """Return an engraved page without its head, ids and groups: about a sixth of the text.

    It is drawn in the colour of the text around it, and its signs are those of `glyphs`.

    Args:
        page: SVG text as `musicgym.export.engraving.svg` gives it.
        glyphs: gathers the signs that the score uses.
        label: what a screen reader says instead of it.
    """
    root = ElementTree.fromstring(page)
    shapes = {
        group.get("id", ""): path.get("d", "")
        for defs in root.iter(f"{_SVG}defs")
        for group in defs
        for path in group
    }
    inner = next(part for part in root.iter(f"{_SVG}svg") if part is not root)
    width = float(inner.get("viewBox", "0 0 16000 0").split()[2])
    margin = next(g for g in inner if g.get("class") == "page-margin")
    left = float(_NUMBER.findall(margin.get("transform", "translate(0, 0)"))[0])
    lines: dict[str, list[tuple[str, ...]]] = {}
    drawn, heights = [], []
    for element in _visible(margin):
        kind = element.tag.removeprefix(_SVG)
        if kind == "use":
            x, y, *scale = (float(n or 1) for n in _place(element))
            sign = element.get(_LINK, "")[1:]
            name = glyphs.add(sign.split("-")[0], (scale[0], scale[1]), shapes[sign])
            drawn.append(f'<use href="#{name}" x="{x:g}" y="{y:g}"/>')
            heights.append(y)
        elif kind == "path" and (line := _LINE.fullmatch(element.get("d", ""))):
            lines.setdefault(element.get("stroke-width", "1"), []).append(line.groups())
            heights += [float(line[2]), float(line[4])]
        elif kind == "path":
            data = element.get("d", "")
            drawn.append(f'<path stroke-width="{element.get("stroke-width", "0")}" d="{data}"/>')
            heights += [float(y) for y in _NUMBER.findall(data)[1::2]]
        elif kind == "polygon":
            points = element.get("points", "")
            drawn.append(f'<polygon points="{points}"/>')
            heights += [float(y) for y in _NUMBER.findall(points)[1::2]]
        elif kind == "ellipse":
            kept = " ".join(f'{n}="{element.get(n)}"' for n in ("cx", "cy", "rx", "ry"))
            drawn.append(f"<ellipse {kept}/>")
        elif kind == "text":
            drawn += _text(element)
            heights.append(float(element.get("y", LETTER)) - LETTER)
    top, bottom = min(heights) - ROOM, max(heights) + ROOM
    paths = "".join(
        f'<path stroke-width="{width_}" d="{_joined(each)}"/>'
        for width_, each in sorted(lines.items())
    )
    return (
        f'<svg class="score" role="img" aria-label="{escape(label)}" '
        f'viewBox="{-ROOM} {top:g} {width - 2 * left + 2 * ROOM:g} {bottom - top:g}">'
        f"{paths}{''.join(drawn)}</svg>"
    )


def _visible(parent: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield what is drawn, in its order; a head and marks of the engraver's own are left out."""
    for element in parent:
        kinds = element.get("class", "").split()
        if "placeholder" in kinds or "pgHead" in kinds or "pgFoot" in kinds:
            continue
        if element.tag == f"{_SVG}g":
            yield from _visible(element)
        else:
            yield element


def _place(element: ElementTree.Element) -> tuple[str | None, ...]:
    found = _PLACED.match(element.get("transform", ""))
    if found is None:
        raise ValueError(f"engraving: a sign has no place: {element.attrib}.")
    return found.groups()


def _joined(lines: Sequence[tuple[str, ...]]) -> str:
    """Return lines as one path, as short as SVG writes it: staff lines go on from bar to bar."""
    level: dict[str, list[list[str]]] = {}
    others = []
    for x, y, to_x, to_y in lines:
        if y == to_y:
            row = level.setdefault(y, [])
            if row and row[-1][1] == x:
                row[-1][1] = to_x
            else:
                row.append([x, to_x])
        else:
            others.append(f"M{x} {y}" + (f"V{to_y}" if x == to_x else f"L{to_x} {to_y}"))
    across = [f"M{x} {y}H{to_x}" for y, row in level.items() for x, to_x in row]
    return "".join([*across, *others])


def _text(element: ElementTree.Element) -> list[str]:
    words = "".join(span.text.strip() for span in element.iter() if span.text)
    spans = [element, *element.iter(f"{_SVG}tspan")]
    where = {n: next((s.get(n) for s in spans if s.get(n)), "0") for n in ("x", "y")}
    if not words:
        return []
    return [f'<text x="{where["x"]}" y="{where["y"]}">{escape(words)}</text>']
