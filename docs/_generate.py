"""MkDocs hook: reference pages made from conf/, experiments/ and the command's own help. Nothing is typed twice.

Each maker gives pages by their place below docs/; `nav` in mkdocs.yml says where they appear.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from limpid import cli
from limpid.commands import data
from limpid.config import recipes
from limpid.config.registry import build, network_config, registered
from limpid.config.yaml_files import values_of
from limpid.errors import UserError
from limpid.figures import FIGURES
from limpid.metrics import METRICS
from limpid.results import table
from limpid.results.report.tables import caption
from limpid.results.rows import Row, option_of, row_file, rows

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"

#: Pages for people that belong to a command, besides one of the command's own name.
GUIDES = {"train": ("logging",), "predict": ("zoo", "serve"), "test": ("zoo",)}

#: Before pages whose blocks and tables are wide.
WIDE = "---\nhide: [toc]\n---\n\n"

#: Groups whose options have pages of their own.
ELSEWHERE = {
    "dataset": "[a page for each](sets/index.md)",
    "network": "[one page](networks.md)",
    "metrics": "[a page for each protocol](metrics/index.md)",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and put all pages where `nav` says."""
    written = {file.src_uri for file in files.documentation_pages()}
    for maker in (commands, papers, sets, metrics, networks, configuration, notes):
        for place, text in maker(written):
            files.append(File.generated(config, place, content=text))
    if config.nav is not None:
        config.nav = _expanded(config.nav, [file.src_uri for file in files.documentation_pages()])
    return files


# What a reader sees of files ---------------------------------------------------------------------------------------


def comment(file: Path) -> str:
    """The comment that a configuration begins with, on one line."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            found.append(line.removeprefix("#").strip())
    return " ".join(found)


def source(file: Path) -> str:
    """A file of the repository as a block, under its name."""
    return f'```yaml title="{file.relative_to(ROOT)}"\n{file.read_text(encoding="utf-8").rstrip()}\n```'


def sheet(columns: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown."""
    head = [cell(column) for column in columns]
    body = ["| " + " | ".join(cell(value) for value in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *body])


def cell(value: Any) -> str:
    """A value inside a table: on one line, with nothing that would end the cell."""
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").strip()


def said(value: str) -> str:
    """Text from a comment, in which angle brackets are no HTML and stars no emphasis."""
    return re.sub(r"<(?=\w)", "&lt;", value).replace("*", r"\*")


def code(value: Any) -> str:
    """`value` as code, if there is one."""
    return "" if value in (None, "") else f"`{value}`"


# Pages -------------------------------------------------------------------------------------------------------------


def commands(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page per command: its help, and for composed commands the settings."""
    lines = [(f"[`limpid {command}`]({command}.md)", text) for command, text in cli.COMMANDS.items()]
    overview = sheet(("command", "what it does"), lines)
    yield "commands/index.md", f"{WIDE}# Commands\n\n```text\n{helped()}\n```\n\n{overview}\n"
    for command, text in cli.COMMANDS.items():
        parts = [f"{WIDE}# limpid {command}", f"{text[0].upper()}{text[1:]}."]
        guides = [g for g in (command, *GUIDES.get(command, ())) if f"{g}.md" in written]
        if guides:
            parts.append("Guide: " + ", ".join(f"[{guide}](../{guide}.md)" for guide in guides) + ".")
        shown = helped(command)
        parts.append(f"```text\n{shown}\n```")
        for other in FIGURES if command == "figure" else _subcommands(shown):
            parts += [f"## limpid {command} {other}", f"```text\n{helped(command, other)}\n```"]
        if command in cli.COMPOSED:
            parts += ["## Settings", "Besides the [groups](../configuration.md):", source(CONF / f"{command}.yaml")]
            parts.append(source(CONF / "common.yaml"))
        yield f"commands/{command}.md", "\n\n".join(parts) + "\n"


def helped(*words: str) -> str:
    """What the command prints when it is asked for help."""
    out = io.StringIO()
    before, sys.argv = sys.argv, ["limpid"]
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            if (status := cli.status([*words, "--help"])) != 0:
                raise UserError(f"limpid {' '.join(words)} --help ended with status {status}.")
    finally:
        sys.argv = before
    return out.getvalue().strip()


def _subcommands(shown: str) -> list[str]:
    """The words of which argparse takes one, if the help names them."""
    found = re.search(r"^  \{?([a-z]+(?:[|,][a-z]+)+)\}?$", shown, re.MULTILINE)
    return re.split(r"[|,]", found[1]) if found else []


def papers(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page per paper: what it leaves open and how it was read, and its tables as `limpid table` has them."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows():
        found.setdefault(row.paper, {}).setdefault(row.table, []).append(row)
    lines = []
    for paper, tables in found.items():
        text = (ROOT / "experiments" / paper / "README.md").read_text(encoding="utf-8")
        text = text.replace("](../../docs/", "](../")
        parts = [text.rstrip(), "## Tables", _how(paper)]
        for name, members in tables.items():
            shown = table.table_rows(members, Path("no-runs"), _why_not)
            parts += [f"### {paper}/{name} {{#{name}}}", said(_caption(members)), table.markdown(shown)]
        yield f"papers/{paper}.md", "\n\n".join(parts) + "\n"
        built = sum(not row.not_built for members in tables.values() for row in members)
        count = sum(map(len, tables.values()))
        lines.append((f"[{text.splitlines()[0].lstrip('# ')}]({paper}.md)", len(tables), count, built))
    shown = sheet(("paper", "tables", "rows", "built"), lines)
    yield "papers/index.md", f"# Papers\n\n{shown}\n"


def _how(paper: str) -> str:
    return (
        f"`limpid table {paper}` prints these on your machine, with your own runs, and says which sets are missing; "
        "one row is `limpid train +PAPER/TABLE=ROW`. Below is what the paper prints, and what was kept of runs."
    )


def _why_not(row: Row) -> str | None:
    """Why a row cannot run anywhere; which sets are there is another machine's business."""
    return f"not built: {row.not_built}" if row.not_built else None


def _caption(members: list[Row]) -> str:
    """What the table is about, and what there is to say of single rows."""
    first = members[0]
    text = caption(first.paper, first.table)
    notes = [f"- `{row.name}`: {row.note}." for row in members if row.note]
    return "\n\n".join(filter(None, [f"{text}." if text else "", "\n".join(notes)]))


def sets(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page per set: its card, its terms, and the recipes that take it."""
    texts = {file.stem: file.read_text(encoding="utf-8") for file in sorted((CONF / "data").glob("*.yaml"))}
    overview = []
    for name, card in data.cards("data").items():
        file = CONF / "dataset" / f"{name}.yaml"
        about = data.describe(name, card)
        users = [f"`data={recipe}`" for recipe, text in texts.items() if re.search(rf"/dataset@\S+ {name}\b", text)]
        splits = [f"{s['split']} {s['expected']:,}" for s in about["splits"] if s["expected"]]
        facts = {
            "what degrades it": about["domain"],
            "kind": about["kind"],
            "images as published": ", ".join(splits),
            "version": about["version"],
            "licence": about["licence"],
            "publisher": about["url"] and f"<{about['url']}>",
            "how to obtain it": about["how_to_get"],
            "looked for below `data.root` in": ", ".join(code(folder) for folder in card.get("roots") or ()),
            "recipes that take it": ", ".join(users),
        }
        kept = sheet(("", ""), [(key, value) for key, value in facts.items() if value])
        what = said(comment(file))
        check = "" if "roots" not in card else f"`limpid data check {name}` reads its files.\n\n"
        yield f"sets/{name}.md", f"{WIDE}# {name}\n\n{what}\n\n{kept}\n\n{check}{source(file)}\n"
        overview.append((f"[{name}]({name}.md)", about["domain"], about["kind"], ", ".join(splits), _first(what)))
    shown = sheet(("set", "domain", "kind", "images", ""), overview)
    yield (
        "sets/index.md",
        f"{WIDE}# Sets\n\n`limpid data list` says which of them are there. [Data](../data.md) tells more.\n\n{shown}\n",
    )


def _first(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=[\w)])\. (?=[A-Z`])", text, maxsplit=1)[0].rstrip(".")


def metrics(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page per protocol: everything that decides its number, and the tables under which it stands."""
    cards = recipes.options("metrics/protocol", recipes.names("metrics/protocol"))
    where: dict[str, list[str]] = {id: [] for id in cards}
    for metric_set, members in recipes.options("metrics", recipes.names("metrics")).items():
        for card in members.values():
            where[card["id"]].append(metric_set)
    tables: dict[str, dict[str, None]] = {}
    for row in rows():
        if row.not_built or row.mode == "profile":
            continue
        group = option_of(values_of(row_file(row.id)), "metrics")
        tables.setdefault(group or "standard", {})[f"{row.paper}/{row.table}"] = None
    for name, card in sorted(cards.items()):
        kind = METRICS[card["metric"]]
        document = inspect.getdoc(kind.function) or ""
        shown = [t for group in where[name] for t in tables.get(group, ())]
        options = ", ".join(f"`{k}={v}`" for k, v in (card.get("options") or {}).items())
        facts = {
            "metric": code(card["metric"]),
            "options": options or "the function's own",
            "better": "higher" if kind.higher_is_better else "lower",
            "reference": "needed" if kind.needs_reference else "none",
            **{
                k.replace("_", " "): card.get(k)
                for k in ("colour_space", "value_range", "rounding", "border", "window", "reduction")
            },
            "used by": ", ".join(card.get("used_by", ())),
            "groups": ", ".join(f"`metrics={group}`" for group in where[name]),
            "tables here": ", ".join(f"[{t}](../papers/{t.replace('/', '.md#')})" for t in dict.fromkeys(shown)),
        }
        lines = sheet(("", ""), [(key, value) for key, value in facts.items() if value])
        call = f"limpid test images=restored/ {'reference=clean/ ' if kind.needs_reference else ''}metrics=[{name}]"
        yield (
            f"metrics/{name}.md",
            (
                f"# {name}\n\n{card.get('text', '')}\n\n{lines}\n\n    {call}\n\n"
                f"## limpid.metrics.{card['metric']}\n\n```text\n{document}\n```\n"
            ),
        )
    overview = [
        (f"[{name}]({name}.md)", code(card["metric"]), card.get("text")) for name, card in sorted(cards.items())
    ]
    text = f"{WIDE}# Metric protocols\n\nA figure stands beside the id of the protocol it was measured under.\n\n"
    yield "metrics/index.md", f"{text}{sheet(('id', 'metric', 'what it computes'), overview)}\n"


def networks(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page of all networks and priors, with their settings and numbers of parameters."""
    overview, parts = [], []
    for name, file in sorted(registered().items()):
        card = yaml.safe_load(file.read_text(encoding="utf-8"))
        kind = _kind(card["_target_"])
        overview.append((f"[{name}](#{name})", kind, f"{_parameters(name):,}", said(_first(comment(file)))))
        parts += [f"## {name}", said(comment(file)), source(file)]
    yield "networks.md", "\n\n".join([
        "# Networks and priors",
        '`limpid.build("NAME")` gives any of them, and `limpid train model=NAME` trains the networks. What learns on '
        "each image has its parameters only there, and nothing to train. "
        "[Yours](extend/network.md) is one file and one config.",
        sheet(("name", "kind", "parameters", ""), overview),
        *parts,
    ]) + "\n"  # fmt: skip


def _kind(target: str) -> str:
    if ".zero_shot." in target:
        return "learns on each image"
    return "prior" if ".priors." in target else "network"


def _parameters(name: str) -> int:
    allowed = {"allow_nonfree": True} if "allow_nonfree" in network_config(name) else {}
    with torch.device("meta"):  # their number needs no values
        return sum(p.numel() for p in build(name, **allowed).parameters())


def configuration(written: set[str]) -> Iterator[tuple[str, str]]:
    """One page of all configuration groups and their options."""
    parts = [
        "# Configuration",
        "Every group of `conf/`, and its options. `limpid train --cfg job --resolve` prints a whole configuration, "
        "`GROUP=OPTION` chooses, `GROUP.KEY=VALUE` sets; "
        "[who may choose for whom](decisions/0002-who-may-choose-for-whom.md) is settled.",
    ]
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        parts.append(f"## {folder.name}")
        if folder.name in ELSEWHERE:
            parts.append(f"Options: {ELSEWHERE[folder.name]}.")
        else:
            lines = [(f"`{folder.name}={file.stem}`", said(comment(file))) for file in sorted(folder.glob("*.yaml"))]
            parts.append(sheet(("option", ""), lines))
    parts += [
        "## What every command begins with",
        source(CONF / "common.yaml"),
        source(CONF / "training" / "default.yaml"),
    ]
    yield "configuration.md", "\n\n".join(parts) + "\n"


def notes(written: set[str]) -> Iterator[tuple[str, str]]:
    """The repository's own notes for contributors."""
    for name in ("CONTRIBUTING", "CHANGELOG"):
        yield f"{name.lower()}.md", (ROOT / f"{name}.md").read_text(encoding="utf-8")


def _expanded(nav: Any, pages: list[str]) -> Any:
    """`nav` with `folder/*` and `*` replaced by the pages they stand for."""
    named = set(_places(nav))

    def expand(entry: Any) -> list[Any]:
        if isinstance(entry, dict):
            return [{title: _expand_all(value) for title, value in entry.items()}]
        if not entry.endswith("*"):
            return [entry]
        folder = entry[:-1]
        return [p for p in sorted(pages) if p.startswith(folder) and "/" not in p[len(folder) :] and p not in named]

    def _expand_all(value: Any) -> Any:
        return [found for entry in value for found in expand(entry)] if isinstance(value, list) else value

    return _expand_all(nav)


def _places(nav: Any) -> Iterator[str]:
    """Every place that `nav` names."""
    if isinstance(nav, str):
        yield nav
    else:
        for value in nav.values() if isinstance(nav, dict) else nav:
            yield from _places(value)
