"""HTML of posts to plain text: code and link texts are kept, markup and entities are not."""

import re

from lxml import etree, html

_BLOCKS = {
    "p", "div", "br", "hr", "pre", "blockquote", "ul", "ol", "li", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6",
    "dl", "dt", "dd",
}  # fmt: skip
_SILENT = {"script", "style"}
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_FOREIGN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _walk(element: html.HtmlElement, parts: list[str], verbatim: bool) -> None:
    """Append the text of `element` and what follows it; in `pre`, spaces and line ends are kept as they are."""
    tag = element.tag if isinstance(element.tag, str) else ""
    block = tag in _BLOCKS
    verbatim_here = verbatim or tag == "pre"
    if block:
        parts.append("\n")
    if tag == "li":
        parts.append("- ")
    if tag and tag not in _SILENT:
        if element.text:
            parts.append(element.text if verbatim_here else _SPACES.sub(" ", element.text.replace("\n", " ")))
        for child in element:
            _walk(child, parts, verbatim_here)
    if tag in {"p", "pre", "blockquote"} or tag.startswith("h"):
        parts.append("\n\n")
    elif block and tag not in {"li", "br"}:
        parts.append("\n")
    if element.tail:
        parts.append(element.tail if verbatim else _SPACES.sub(" ", element.tail.replace("\n", " ")))


def html_to_text(source: str) -> str:
    """Return the text of an HTML fragment; paragraphs are parted by an empty line. Never raises on broken markup.

    libxml2 stops at 255 levels of nesting: the text from there on is lost.
    """
    source = _FOREIGN.sub(" ", source)
    if not source.strip():
        return ""
    try:
        root = html.fragment_fromstring(source, create_parent="div")
    except etree.ParserError:
        # Nothing but comments or processing instructions: there is no text in it.
        return ""
    parts: list[str] = []
    _walk(root, parts, False)
    lines = (line.rstrip() for line in "".join(parts).split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
