"""Sections of a paper's README.md as safe HTML, and what the comment of a set's file says."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from limpid.paths import config_folders

#: The section of `experiments/<paper>/README.md` with the paper's contradictions.
CONTRADICTIONS = "What cannot be right as printed"
#: And the one with what the paper leaves open.
READING = "How it was read"

#: No raw HTML passes, and no pictures, whose files stay where they are.
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table").disable("image")


def title(paper: str) -> str:
    """The title of a paper: its README's heading, else its short name."""
    for token, inline in _pairs(_MARKDOWN.parse(_readme(paper))):
        if token.type == "heading_open" and token.tag == "h1":
            return str(inline.content)
    return paper


def section(paper: str, heading: str) -> Markup | None:
    """The section under `heading` of a paper's README, headings in it from h3 on; None where there is none.

    Links that are not http(s) are shown as plain text, because what they lead to stays outside the report.
    """
    tokens = _MARKDOWN.parse(_readme(paper))
    starts = [
        (i, token, inline.content)
        for i, (token, inline) in enumerate(_pairs(tokens))
        if token.type == "heading_open" and token.tag in ("h1", "h2")
    ]
    for (start, _, content), (end, *_) in zip(starts, [*starts[1:], (len(tokens), None, "")], strict=True):
        if content == heading:
            body = tokens[start + 3 : end]
            for token in body:
                token.children = _without_local_links(token.children) if token.children else token.children
            return Markup(_MARKDOWN.renderer.render(body, _MARKDOWN.options, {}))  # raw HTML is off
    return None


def comment(file: Path) -> str:
    """The comment that begins a YAML file, without the line that Hydra reads, as one line."""
    text = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            # A word that is cut at its own hyphen goes on without a gap.
            text += line.removeprefix("#").strip() if text.endswith("-") else f" {line.removeprefix('#').strip()}"
    return text.strip()


def _readme(paper: str) -> str:
    for folder in config_folders("experiments"):
        if (file := folder / paper / "README.md").is_file():
            return file.read_text(encoding="utf-8")
    return ""


def _pairs(tokens: list[Token]) -> list[tuple[Token, Token]]:
    """Each token with the one behind it."""
    return list(zip(tokens, [*tokens, Token("", "", 0)][1:], strict=True))


def _without_local_links(children: list[Token]) -> list[Token]:
    kept, dropped = [], []
    for token in children:
        if token.type == "link_open":
            dropped.append(not str(token.attrGet("href")).startswith(("https://", "http://")))
        if token.type == "link_open" and dropped[-1]:
            continue
        if token.type == "link_close" and dropped.pop():
            continue
        kept.append(token)
    return kept
