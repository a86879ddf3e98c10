"""Commands of documents, run in a folder as a reader runs them, but without importing everything again for each."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.conftest import environment
from tests.docs.blocks import Block, blocks, commands, missing

# One process imports what commands need, but nothing that looks at the current directory; each command is a fork of it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["limpid.runs.runner", "limpid.metrics", "hydra"])
_PATIENCE = 300  # seconds


def run(words: str, folder: Path) -> tuple[int, str]:
    """Run `limpid ...` or `python ...` in `folder`; its exit status, and what it printed on both streams."""
    program, *arguments = shlex.split(words)
    if program == "limpid":
        return _forked(arguments, folder)
    assert program == "python", f"{program!r} is not run; mark the block with <!-- not run: REASON -->"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_variables(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE,
    )
    return done.returncode, done.stdout


def _variables(folder: Path) -> dict[str, str]:
    variables = environment(folder)
    del variables["LIMPID_RUNS"]  # a reader's runs are where the page says
    return variables


def _forked(asked: list[str] | str, folder: Path) -> tuple[int, str]:
    """As `run`, for the arguments of `limpid`, or for Python."""
    printed = folder / ".printed"
    process = _CONTEXT.Process(target=_do, args=(asked, folder, _variables(folder), printed))
    process.start()
    process.join(_PATIENCE)
    assert process.exitcode is not None, f"{asked} took more than {_PATIENCE} seconds"
    return process.exitcode, printed.read_text(encoding="utf-8")


def _do(asked: list[str] | str, folder: Path, variables: dict[str, str], printed: Path) -> None:
    """What the installed command or the interpreter does, in this process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if isinstance(asked, str):
        sys.path.insert(0, str(folder))  # a notebook imports from its own folder
        exec(compile(asked, "<page>", "exec"), {"__name__": "__main__"})
        return
    sys.argv = ["limpid", *asked]
    from limpid.cli import main

    main()


def _notebooks(found: list[Block]) -> list[Block]:
    """The blocks, those of Python that follow one another as one."""
    joined: list[Block] = []
    for block in found:
        before = joined[-1] if joined else None
        if before is not None and _is_cell(before) and _is_cell(block):
            joined[-1] = replace(before, body=f"{before.body}\n{block.body}")
        else:
            joined.append(block)
    return joined


def _is_cell(block: Block) -> bool:
    return block.language == "python" and not block.title and not block.not_run


def follow(page: Path, folder: Path) -> None:
    """Do in `folder` what the page says: write its files, run its commands and its Python, and compare.

    Blocks of Python with no other block between them are the cells of one notebook.
    """
    for block in _notebooks(blocks(page)):
        where = f"{page.name}, line {block.line}"
        if block.not_run:
            continue
        if block.title:
            file = folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        elif block.language == "python":
            status, printed = _forked(block.body, folder)
            assert status == 0, f"{where}\n{printed}"
        elif block.language == "console":
            for command in commands(block):
                status, printed = run(command.words, folder)
                assert status == command.status, f"{where}: {command.words}: exit status {status}\n{printed}"
                lacking = missing(command.prints, printed)
                assert lacking is None, f"{where}: {command.words} does not print\n{lacking}\nbut\n{printed}"
