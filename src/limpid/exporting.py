"""Networks as files for other programs: weights alone (safetensors), or a graph that runs (`torch.export`, ONNX).

A graph maps `input`, `(N, 3, H, W)` float32 RGB in [0, 1], to `restored`, the restored image clamped to [0, 1], for
every N, and H and W of 16 and more: what `limpid.inference.restore` gives. Each is compared with it before it is kept.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.fx.experimental._config
from torch import Tensor, nn

from limpid import __version__, checkpoint
from limpid.errors import CannotRun, UserError
from limpid.inference import SMALLEST, restore, restored_image
from limpid.store.atomic_io import atomic_write, json_text, temporary_path, write_text
from limpid.surroundings import refusals_of_system
from limpid.zoo import files, sha256

#: The formats and the suffixes of their files.
SUFFIXES = {"safetensors": files.SUFFIX, "torch": ".pt2", "onnx": ".onnx"}
#: Batch, height and width of the image that a graph is recorded with: no side fits a network that halves.
RECORDED = (2, 37, 51)
#: Those that it is compared at: odd sides, which are padded; even ones, of which many are not; the smallest.
COMPARED = ((1, 61, 83), (3, 64, 48), (2, SMALLEST, SMALLEST))

INPUT, OUTPUT = "input", "restored"
#: The axes of both that are open, by name.
_AXES = {0: "batch", 2: "height", 3: "width"}
LAYOUT = "NCHW, 3 channels in the order red, green, blue"
RANGE = "float32 in [0, 1], as sRGB images are stored, divided by 255"

_ONE_BY_ONE = "it treats the images of a batch in a loop, and a graph has no loop whose length is the batch's"
#: Why a method has no graph. The tests try all others, and these too: a method that can is not listed.
NO_GRAPH = {
    "cbcs": f"{_ONE_BY_ONE}; its equalisation is OpenCV's",
    "dcp": _ONE_BY_ONE,
    "kim2020": f"{_ONE_BY_ONE}; its medians and percentiles run in numpy",
    "mof": _ONE_BY_ONE,
    "percentile_stretch": _ONE_BY_ONE,
    "rop": f"{_ONE_BY_ONE}; its percentiles run in numpy",
    "rop_plus": f"{_ONE_BY_ONE}; its percentiles run in numpy",
    "rl_restore": "its agent chooses tools by what it sees, image by image",
    "wmcp": f"{_ONE_BY_ONE}; its weighted median runs in numpy",
    "zid": "it learns on each image anew, and a graph learns nothing",
}
#: Why a method has a graph for `torch.export`, but none for ONNX.
NO_ONNX = {
    "dcpdn": "it divides by a transmission that may be near 0, where the rounding of another program shows",
    "dehaze_flow": "it inverts matrices, which ONNX has no operator for",
    "famed_net": "it resizes the image inside, and ONNX resizes otherwise than PyTorch, by a few grey levels",
}


class Subject(NamedTuple):
    """What is exported.

    Attributes:
        network: with its weights, on the CPU.
        name: in the registry.
        config: its settings, plain values.
        provenance: plain facts on its weights.
    """

    network: nn.Module
    name: str
    config: Mapping[str, object]
    provenance: Mapping[str, object]


class Exported(NamedTuple):
    """A file that was written.

    Attributes:
        path: of the file.
        difference: the largest to the network's own result, of values in [0, 1]; None where none was sought.
    """

    path: Path
    difference: float | None


class Restoring(nn.Module):
    """A network whose output is the restored image alone, clamped to [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """The restored `images` `(N, 3, H, W)` in [0, 1]."""
        return restored_image(self.network(images)).clamp(0.0, 1.0)


def reason(subject: Subject, form: str) -> str | None:
    """A sentence on why `subject` cannot be written in the format `form`; None where nothing is known against it."""
    if form == "safetensors":
        if subject.network.state_dict():
            return None
        why: str | None = "it has no weights"
    else:
        why = NO_GRAPH.get(subject.name) or getattr(subject.network, "no_graph", None)
        why = why or (NO_ONNX.get(subject.name) if form == "onnx" else None)
    return None if why is None else f"The method {subject.name} cannot be exported to {form}: {why}."


def export(
    subject: Subject, places: Mapping[str, Path], opset: int = 18, check: bool = True, tolerance: float = 1e-4
) -> Iterator[Exported]:
    """The files that were written: `subject` in each format of `places`, at the path given there.

    Args:
        subject: what is exported. A prior has no weights, but may have a graph.
        places: by format, a key of `SUFFIXES`.
        opset: version of ONNX's operators.
        check: compare each file with the network; one that differs is not written.
        tolerance: the largest difference allowed, of values in [0, 1].

    Yields:
        each file, once it is in its place.

    Raises:
        CannotRun: the network has no graph, or ONNX's packages are missing.
        UserError: a file differs too much or cannot be written, or the exporter does not know the opset.
    """
    for form in places:
        if why := reason(subject, form):
            raise CannotRun(why)
    if "onnx" in places:
        _require_onnx()
    if "safetensors" in places:  # before a graph is tried, which may fail
        _write_weights(subject, places["safetensors"])
        yield Exported(places["safetensors"], None)
    graphs = {form: path for form, path in places.items() if form != "safetensors"}
    if not graphs:
        return
    program = recorded(subject)
    if check:  # it asks what torch could not prove of all sizes; ONNX would not
        _largest_difference(subject, program.module(), "graph", tolerance)
    for form, path in graphs.items():
        difference = None
        # The suffix stays: a runner goes by it.
        beside = temporary_path(path.with_suffix(""), path.suffix)
        with refusals_of_system(), atomic_write(path, beside) as file:
            _write_program(program, subject, form, file, opset)
            if check:  # before the file has its name
                difference = _largest_difference(subject, _RUNNERS[form](file), f"{form} file", tolerance)
        yield Exported(path, difference)


def _write_program(program: torch.export.ExportedProgram, subject: Subject, form: str, file: Path, opset: int) -> None:
    """Write `program` to `file` as ``onnx`` or with `torch.export`."""
    if form == "onnx":
        _write_onnx(program, subject, file, opset)
    else:
        content = io.BytesIO()  # where torch writes a file itself, a full disk ends the process
        torch.export.save(program, content, extra_files={"limpid.json": json_text(_facts(subject))})
        file.write_bytes(content.getbuffer())


def recorded(subject: Subject) -> torch.export.ExportedProgram:
    """The graph of `subject`, for any batch and any height and width of 16 and more.

    Raises:
        UserError: its code has a step that depends on the size in a way that no graph can say.
    """
    batch, height, width = RECORDED
    least = (1, SMALLEST, SMALLEST)
    sides = {axis: torch.export.Dim(name, min=n) for (axis, name), n in zip(_AXES.items(), least, strict=True)}
    x = torch.rand(batch, 3, height, width)
    module = Restoring(subject.network).eval()
    try:
        # A side of one pixel, deep inside, is as good as any other; otherwise the graph would hold for one of the two.
        sizes = torch.fx.experimental._config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
        with torch.no_grad(), _quietly(), sizes:
            # What torch cannot prove of all sizes is asked when the graph runs, instead of narrowing them.
            return torch.export.export(
                module, (x,), dynamic_shapes=(sides,), strict=False, prefer_deferred_runtime_asserts_over_guards=True
            )
    except Exception as error:  # of any kind: it comes from the network's own code as torch records it
        raise UserError(
            f"The network {subject.name} cannot be recorded as a graph for images of every size: {_first_cause(error)}"
        ) from error


def card(subject: Subject, path: Path) -> str:
    """The card of the weights at `path`, Markdown: what is known of them and how they are used."""
    parameters = sum(p.numel() for p in subject.network.parameters())
    facts = {
        "network": subject.name,
        "settings": ", ".join(f"{k}={v}" for k, v in subject.config.items()) or "the registry's",
        "parameters": f"{parameters:,}",
        "written by": f"limpid {__version__}",
        "sha256 of the file": sha256(path),
        "sha256 of the weights": _fingerprint(subject),
    }
    origin = {key: value for key, value in subject.provenance.items() if value not in (None, "", [], {})}
    return "\n".join(
        [
            f"# {path.stem}",
            "",
            *_table(facts),
            "",
            "## Where the weights come from",
            "",
            *(_table(origin) if origin else ["The checkpoint does not say."]),
            "",
            "## Images",
            "",
            f"Input: `(N, 3, H, W)`, {LAYOUT}; {RANGE}. Sides of {SMALLEST} pixels and more.",
            "Output: the restored image in the same layout, not clamped; of some networks a named tuple whose",
            "`.restored` it is. Networks for super-resolution enlarge it.",
            "",
            "## Use",
            "",
            "```sh",
            f"limpid predict ckpt={path.name} input=photos/ output=restored/",
            "```",
            "",
            "```python",
            "import limpid",
            "from limpid.inference import restore",
            "",
            f'network = limpid.load("{path.name}")',
            "restored = restore(network, x)  # x: a float32 tensor (N, 3, H, W) in [0, 1]",
            "```",
            "",
        ]
    )


def _table(facts: Mapping[str, object]) -> list[str]:
    """A Markdown table of names and values."""

    def cell(value: object) -> str:
        words = value if isinstance(value, str) else json_text(value)
        return " ".join(words.split()).replace("|", "\\|")

    return ["| | |", "|---|---|", *(f"| {name} | {cell(value)} |" for name, value in facts.items())]


def _fingerprint(subject: Subject) -> str:
    return checkpoint.weights_fingerprint(subject.network.state_dict())


def _facts(subject: Subject) -> dict[str, str]:
    """What a graph's file says of itself, strings only."""
    return {
        "limpid": __version__,
        "network": subject.name,
        "network_config": json_text(subject.config),
        "weights_sha256": _fingerprint(subject),
        "provenance": json_text(subject.provenance),
        "layout": LAYOUT,
        "range": RANGE,
        "smallest_side": str(SMALLEST),
    }


def _write_weights(subject: Subject, path: Path) -> None:
    """The weights, and beside them their card."""
    files.write(path, subject.network.state_dict(), subject.name, subject.config, subject.provenance)
    write_text(path.with_suffix(".md"), card(subject, path))


def _require_onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError as error:
            raise CannotRun(
                f"format=onnx needs the package {package}, which is not there; run `pip install 'limpid[export]'`."
            ) from error


def _write_onnx(program: torch.export.ExportedProgram, subject: Subject, path: Path, opset: int) -> None:
    names: Any = {"input_names": [INPUT], "output_names": [OUTPUT], "dynamic_shapes": (_AXES,)}
    try:
        with _quietly():
            written = torch.onnx.export(program, (), dynamo=True, opset_version=opset, verbose=False, **names)
    except Exception as error:  # of any kind, as above
        raise UserError(f"The network {subject.name} cannot be said in ONNX: {_first_cause(error)}") from error
    assert written is not None
    if written.model.opset_imports[""] != opset:
        raise UserError(
            f"The network {subject.name} cannot be said in opset {opset} of ONNX, but in "
            f"{written.model.opset_imports['']}; give opset={written.model.opset_imports['']}."
        )
    written.model.metadata_props.update(_facts(subject))
    written.save(path, external_data=False)


def _torch_runner(path: Path) -> Callable[[Tensor], Tensor]:
    run: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return run


def _onnx_runner(path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])


_RUNNERS = {"torch": _torch_runner, "onnx": _onnx_runner}


def _largest_difference(subject: Subject, run: Callable[[Tensor], Tensor], what: str, tolerance: float) -> float:
    """The largest difference between what `run` gives and the network, over the sizes of `COMPARED`.

    Raises:
        UserError: it is beyond `tolerance`, or `run`, which is `what` in the sentence, fails.
    """
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch, height, width in COMPARED:
        x = torch.rand(batch, 3, height, width, generator=generator)
        expected = restore(subject.network, x)
        try:
            with torch.no_grad():
                result = run(x)
        except Exception as error:  # of any kind: two runtimes with exceptions of their own
            raise UserError(
                f"The {what} of {subject.name} does not run at {height} x {width} pixels, so it is not kept: "
                f"{_first_cause(error)}"
            ) from error
        if result.shape != expected.shape:
            raise UserError(
                f"The {what} of {subject.name} gives {tuple(result.shape)} where the network gives "
                f"{tuple(expected.shape)}, so it is not kept."
            )
        difference = (result - expected).abs().max().item()
        if not difference <= tolerance:  # NaN is no agreement either
            raise UserError(
                f"The {what} of {subject.name} differs from the network by {difference:.2g} at {height} x {width} "
                f"pixels, more than tolerance={tolerance:g}, so it is not kept."
            )
        largest = max(largest, difference)
    return largest


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's exporter says about itself, which tells a user nothing."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_cause(error: BaseException) -> str:
    """The first line of the exception that the others follow from."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
