"""`limpid figure`: a figure of a paper, drawn from what is measured here."""

from __future__ import annotations

import importlib

from limpid.commands.command_parser import CommandParser
from limpid.errors import UserError, nearest
from limpid.figures import FIGURES

HELP = """limpid figure PAPER/NAME [--FLAG VALUE ...]

Draws a figure of a paper anew, with its numbers beside it. `limpid figure PAPER/NAME --help` lists what it takes.

{figures}

  limpid figure wmcp/patch_size --images nyu_depth
  limpid figure fdr/correlation --ckpt runs/fdr/table2/ours/mini/seed-0/checkpoints/best.ckpt"""


def run(arguments: list[str]) -> int:
    """The exit status, after the figure is drawn and its files are printed."""
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, FIGURES))
        print(HELP.format(figures="\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in FIGURES.items())))
        return 0
    name, *flags = arguments
    if name not in FIGURES:
        hint = nearest(name, FIGURES) or "; there is " + ", ".join(FIGURES) + ", and the name comes first."
        raise UserError(f"There is no figure {name!r}{hint}")
    module = importlib.import_module(FIGURES[name][0])
    parser = CommandParser(prog=f"limpid figure {name}", description=module.__doc__)
    module.add_arguments(parser)
    for path in module.draw(**vars(parser.parse_args(flags))):
        print(path)
    return 0
