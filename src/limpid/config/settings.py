"""What each command takes that is no object's: its settings, with their kinds and ranges.

The objects of a configuration say by their signatures what they take. What stands beside them in conf/common.yaml and
in a command's own file is said here, once for each key, and checked by the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval, Predicate

from limpid.config.kinds import describes, refuse_settings
from limpid.errors import UserError
from limpid.ranges import (
    Minutes,
    NonNegativeFloat,
    NonNegativeInt,
    Pixels,
    PositiveFloat,
    PositiveInt,
    Seed,
    Share,
)

#: A group of the configuration, or a part of one, that describes an object: `_target_` and its settings.
Described = Annotated[Mapping[str, Any], Predicate(describes)]


@dataclass
class Cost:
    """How the cost of a network is measured."""

    image_size: tuple[Pixels, Pixels]
    repeats: PositiveInt


@dataclass
class Sheet:
    """What a sheet of comparisons holds."""

    width: Annotated[int, Interval(ge=16, le=4096)]
    photographs: Annotated[int, Interval(ge=1, le=100_000)]


@dataclass
class Sets:
    """The sets of a recipe, which are objects; the data module's other arguments are checked by its signature."""

    takes_more: ClassVar[bool] = True
    train: Described | None = None
    val: Described | None = None
    augment: Described | None = None
    test: Mapping[str, Described | None] | None = None


@dataclass
class Terms:
    """The terms of a loss."""

    takes_more: ClassVar[bool] = True
    terms: Mapping[str, Mapping[str, Any] | None] | None = None


@dataclass
class Trainer:
    """Lightning's Trainer as a run of Limpid uses it: it counts batches, and runs between them take no other form."""

    takes_more: ClassVar[bool] = True
    max_steps: PositiveInt | None
    max_epochs: PositiveInt | None
    accumulate_grad_batches: PositiveInt
    gradient_clip_val: NonNegativeFloat | None
    val_check_interval: PositiveInt
    timeout_minutes: Minutes | None = None
    num_nodes: PositiveInt | Literal[-1] = 1
    devices: Annotated[int, Ge(-1)] | Sequence[NonNegativeInt] | str = "auto"
    accelerator: str = "auto"
    strategy: str | Described = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "32", "16", "bf16", 32, 16] = 32


@dataclass
class Common:
    """What all commands share."""

    takes_more: ClassVar[bool] = True  # `refuse_unknown_keys` has its own sentence for what nothing reads
    command: str
    network: Described
    loss: Terms | None
    optimizer: Described | None
    lr_scheduler: Described | None
    metrics: Mapping[str, Described | None]
    inference: Described
    callbacks: Mapping[str, Described | None]
    logger: Mapping[str, Described | None] | None
    trainer: Trainer
    data: Sets
    training: Mapping[str, Mapping[str, Any]]
    model: Described
    budget: str
    seed: Seed
    ckpt: str | None
    prerequisites: Literal["ask", "run", "none"] | None
    prerequisite_data: Mapping[str, Mapping[str, str] | None]
    rerun: bool
    allow_nonfree: bool
    allow_targets: Sequence[str]
    cost: Cost
    skip_metrics: Sequence[str] | None
    log_every: PositiveInt
    pictures: NonNegativeInt
    memory_format: Literal["channels_last", "contiguous_format"]
    compile: bool


@dataclass
class Test(Common):
    """`limpid test`."""

    mode: Literal["test", "profile"]


@dataclass
class Train(Common):
    """`limpid train`."""

    mode: Literal["train", "test", "profile"]
    strict_loading: bool


@dataclass
class Predict(Common):
    """`limpid predict`."""

    overwrite: bool
    compare: bool
    save: Sequence[str] | str
    suffix: str | None
    strength: Share
    quality: Annotated[int, Interval(ge=1, le=100)]
    megapixels: PositiveFloat
    overlap: NonNegativeFloat
    sheet: Sheet
    device: str
    precision: Literal["32", "bf16", 32]
    video: Described
    input: str = field(default="")
    output: str = field(default="")


@dataclass
class Profile(Common):
    """`limpid profile`."""

    image_size: tuple[Pixels, Pixels]
    repeats: PositiveInt
    device: str
    format: Literal["rich", "json"]


@dataclass
class Export(Common):
    """`limpid export`."""

    format: Literal["onnx", "torch", "safetensors", "all"]
    opset: Annotated[int, Interval(ge=18, le=99)]
    check: bool
    tolerance: NonNegativeFloat
    overwrite: bool
    output: str = field(default="")


_COMMANDS: dict[str, type[Common]] = {
    "train": Train,
    "test": Test,
    "predict": Predict,
    "profile": Profile,
    "export": Export,
}


def refuse_values(config: Mapping[str, Any], command: object) -> None:
    """Refuse settings of a command that are missing, of another kind than they take, or out of range.

    Args:
        config: plain values, as composed; what has no value yet is left out.
        command: whose primary config they come from.

    Raises:
        UserError: naming the first, and what it takes.
    """
    if not isinstance(command, str) or command not in _COMMANDS:
        raise UserError("The command stands before its settings, as in `limpid train budget=mini`; leave out command=.")
    refuse_settings(config, _COMMANDS[command])
