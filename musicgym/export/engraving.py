"""Engraved scores: MusicXML to SVG by verovio, SVG to PNG by resvg."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from .extras import require
from .notation import musical_signs

__all__ = ["png", "svg"]

PAGE_WIDTH = 1600
_SVG = "{http://www.w3.org/2000/svg}"

# Verovio sets musical signs inside text in its own music font, which few viewers and no
# rasteriser can use. These are the same signs as any text font has them.
_TEXT_SIGNS = str.maketrans({"\uea64": "♭", "\uea65": "♮", "\uea66": "♯"})
_NOTES = {"quarter": "♩", "eighth": "♪"}


def svg(musicxml: str) -> str:
    """Return MusicXML text engraved as one SVG page, as high as the music needs.

    Raises:
        MissingExtra: verovio is not installed.
        ValueError: verovio cannot read the text.
    """
    verovio = require("verovio", "score", "an engraved score")
    text, tempo = _prepare(musicxml)
    toolkit = verovio.toolkit()
    toolkit.setOptions(
        {
            "adjustPageHeight": True,
            "bottomMarginHeader": 4,
            "breaks": "encoded" if "new-system" in text else "auto",
            "footer": "none",
            "minLastJustification": 0.4,
            "pageHeight": 60000,
            "pageMarginBottom": 50,
            "pageMarginLeft": 60,
            "pageMarginRight": 60,
            "pageMarginTop": 60,
            "pageWidth": PAGE_WIDTH,
            "smuflTextFont": "none",
            "spacingSystem": 8,
            "staffLineWidth": 0.2,
            "svgViewBox": True,
            "unit": 7,
            "xmlIdSeed": 1,  # the same melody gives the same file
        }
    )
    if not toolkit.loadData(text):
        raise ValueError("engraving: verovio cannot read this MusicXML.")
    return _portable(toolkit.renderToSVG(1), tempo)


def _prepare(musicxml: str) -> tuple[str, str]:
    """Return the MusicXML as verovio sets it best, and the tempo as text.

    Verovio puts a tempo mark between the chord symbols and the staff, so it is set apart; and it
    prints altered degrees after a text that already says them: Bmaj7#5(#5).
    """
    score, tempo = ElementTree.fromstring(musicxml.encode()), ""
    for measure in score.iter("measure"):
        for direction in measure.findall("direction"):
            mark = direction.find("direction-type/metronome")
            sign = _NOTES.get(mark.findtext("beat-unit", "")) if mark is not None else None
            if mark is not None and sign:
                dot = "." if mark.find("beat-unit-dot") is not None else ""
                tempo = tempo or f"{sign}{dot} = {mark.findtext('per-minute', '')}"
                measure.remove(direction)
    for harmony in score.iter("harmony"):
        for degree in harmony.findall("degree"):
            harmony.remove(degree)
        for kind in harmony.findall("kind"):
            kind.set("text", musical_signs(kind.get("text", "")))
    return ElementTree.tostring(score, encoding="unicode"), tempo


def _portable(page: str, tempo: str) -> str:
    """Return verovio's SVG with the tempo added and text that every viewer draws in its place."""
    ElementTree.register_namespace("", _SVG[1:-1])
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(page)
    size = "315px"  # of plain text, in verovio's units
    for span in root.iter(f"{_SVG}tspan"):
        if span.text and span.get("font-family"):
            span.text = span.text.translate(_TEXT_SIGNS)
            span.set("font-size", size)
            del span.attrib["font-family"]
    for group in root.iter(f"{_SVG}g"):
        if group.get("class", "").startswith("pgHead"):
            height = "0"
            for span in group.iter(f"{_SVG}tspan"):
                height = span.get("y", height)
                for label in span.findall(f"{_SVG}title"):  # resvg loses its place over these
                    span.remove(label)
            left = ElementTree.SubElement(group, f"{_SVG}text", x="0", y=height)
            left.set("font-size", size)
            left.text = tempo
    return ElementTree.tostring(root, encoding="unicode")


def png(page: str, *, width: int = 1600) -> bytes:
    """Return an SVG page as a PNG on white, `width` pixels wide.

    Raises:
        MissingExtra: resvg-py or matplotlib, whose fonts draw the text, is not installed.
    """
    resvg = require("resvg_py", "score", "a picture of a score")
    matplotlib = require("matplotlib", "score", "a picture of a score")
    # Without a family that it finds, resvg leaves out all text and says nothing. Verovio asks for
    # "Times, serif"; the fonts of the system are skipped so that a page looks the same everywhere.
    family = "STIXGeneral"
    data: bytes = resvg.svg_to_bytes(
        svg_string=page,
        background="white",
        width=width,
        skip_system_fonts=True,
        font_dirs=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],
        font_family=family,
        serif_family=family,
    )
    return bytes(data)
