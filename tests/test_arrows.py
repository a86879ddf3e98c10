"""The map of design: which part may import which, checked on the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "limpid"

# Floors from the ground up; a module may import its own part and what stands below. The foundation serves all.
FOUNDATION = {"consoles", "errors", "paths", "ranges", "surroundings", "__init__"}
GROUND = {
    *("networks", "priors", "metrics", "inference", "store", "checkpoint", "config"),
    *("downloads", "lr_schedulers", "profiling"),
}
LOSSES = FOUNDATION | GROUND | {"losses"}
SHARED = LOSSES | {"zero_shot"} | {"results", "data", "zoo", "models"}
BESIDE = SHARED | {
    "callbacks",
    "loggers",
    "methods",
    "weather",
    "offers",
    "hints",
    "predicting",
    "restoration",
    "serving",
    "video",
    "exporting",
    "figures",
}
ALLOWED = {
    **dict.fromkeys(GROUND, FOUNDATION | {"config", "store", "checkpoint"}),
    "checkpoint": FOUNDATION | {"config", "store", "zoo"},
    "profiling": FOUNDATION | {"zero_shot"},
    "losses": FOUNDATION | {"inference", "networks"},
    "zero_shot": FOUNDATION | {"inference", "networks", "priors"},
    **dict.fromkeys(("results", "data", "zoo"), FOUNDATION | GROUND),
    "models": SHARED,
    **dict.fromkeys(
        (
            "callbacks",
            "loggers",
            "methods",
            "weather",
            "offers",
            "hints",
            "predicting",
            "restoration",
            "serving",
            "video",
            "exporting",
            "figures",
        ),
        BESIDE,
    ),
    "runs": BESIDE | {"runs"},
    "commands": BESIDE | {"runs"},
    "__main__": {"cli"},
    "cli": FOUNDATION | {"commands", "config"},
}
FORBIDDEN = {
    "networks": {"lightning", "hydra", "omegaconf"},
    "priors": {"lightning", "hydra", "omegaconf"},
    "zero_shot": {"lightning", "hydra", "omegaconf"},
    "metrics": {"lightning", "hydra", "omegaconf"},
    "inference": {"lightning", "hydra", "omegaconf"},
    "store": {"hydra", "omegaconf", "torch", "lightning"},
    "checkpoint": {"hydra", "omegaconf", "lightning"},
    "lr_schedulers": {"hydra", "omegaconf", "lightning"},
    "data": {"hydra", "omegaconf"},
    "results": {"hydra", "omegaconf", "torch", "lightning"},
    "losses": {"hydra", "omegaconf", "lightning"},
    "models": {"hydra", "omegaconf"},
    "callbacks": {"hydra", "omegaconf"},
    "loggers": {"hydra", "omegaconf"},
}


def imports(file: Path) -> set[str]:
    """Every module a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names if node.module == "limpid"}
    return found


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_run_downwards(file: Path) -> None:
    part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    names = imports(file)
    own = {name.split(".")[1] for name in names if name.startswith("limpid.")} - {"__version__", "build"}
    if part in ALLOWED:
        assert own - {part} <= ALLOWED[part], f"{part} imports upstairs"
    assert not {name.split(".")[0] for name in names} & FORBIDDEN.get(part, set())


def test_the_commands_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from limpid.cli import status; assert status(['--help']) == 0; "
        "heavy = {'torch', 'lightning', 'hydra', 'omegaconf', 'numpy', 'rich', 'yaml'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_composing_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys; from limpid.cli import status; sys.argv = ['limpid'];"
        "assert status(['train', '+rfd/table5=student', '--cfg', 'job']) == 0; assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
