"""The fenced blocks of a page: files to write, commands with what they print, and Python to execute.

    ```yaml title="conf/network/my_net.yaml"      a file
    ```console                                    lines with `$ ` are commands, the others are what they print
    ```python                                     executed

A block that cannot be run has `<!-- not run: REASON -->` above it; `<!-- exit status N -->` above a console block says how
its last command ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?P<above>(?:^ *<!--[^\n]*-->\n)*)^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
    r"(?P<body>.*?)^(?P=indent)``` *$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: where it begins in its page, from 1 on.
        language: such as ``console``.
        title: the file it shows, or None.
        body: its text without the fences.
        not_run: why it is not run, or None.
        status: the exit status of its last command.
    """

    line: int
    language: str
    title: str | None
    body: str
    not_run: str | None
    status: int


@dataclass(frozen=True)
class Command:
    """A command, what it prints, and how it ends."""

    words: str
    prints: tuple[str, ...]
    status: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page that name a language, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        reason = re.search(r"<!-- not run: (.+?) -->", match["above"])
        status = re.search(r"<!-- exit status (\d+) -->", match["above"])
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("indent")) + 1
        found.append(
            Block(line, match["language"], match["title"], body, reason and reason[1], int(status[1]) if status else 0)
        )
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.body.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ ").split("  # ")[0].strip(), []))
        elif line.strip():
            assert found, f"line {block.line}: a console block begins with a command"
            found[-1][1].append(line)
    last = len(found) - 1
    return [Command(words, tuple(lines), block.status if i == last else 0) for i, (words, lines) in enumerate(found)]


def missing(shown: tuple[str, ...], printed: str) -> str | None:
    """The first line of `shown` that was not printed in its turn, or None.

    Other lines may stand between. `...` stands for anything; spaces and lines of tables may be of another length; a
    number may differ by 5 %, because rounding differs from machine to machine.
    """
    lines = iter([_tokens(line) for line in printed.replace("\r", "\n").splitlines()])
    for wanted in shown:
        tokens = _tokens(wanted)
        if tokens and not any(_alike(tokens, line) for line in lines):
            return wanted
    return None


def _tokens(line: str) -> list[str]:
    return re.sub(r"[━─]+", "─", line).replace("┃", "│").split()


def _alike(wanted: list[str], found: list[str]) -> bool:
    if not wanted or not found:
        return wanted in ([], ["..."]) and (not found or bool(wanted))
    if wanted[0] == "...":
        return _alike(wanted[1:], found) or _alike(wanted, found[1:])
    return _same(wanted[0], found[0]) and _alike(wanted[1:], found[1:])


def _same(wanted: str, found: str) -> bool:
    if _NUMBER.match(wanted) and _NUMBER.match(found):
        a, b = (float(token.replace(",", "")) for token in (wanted, found))
        return abs(a - b) <= 0.05 * max(abs(a), abs(b))
    return re.fullmatch(re.escape(wanted).replace(r"\.\.\.", ".*"), found) is not None
