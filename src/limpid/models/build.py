"""Models from configurations: of a run, by name for a notebook, and again from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import torch

from limpid import checkpoint as checkpoint_file
from limpid.config import instantiate
from limpid.config.compose import Composed, compose, is_table, key_of
from limpid.config.kinds import refuse_kinds
from limpid.config.references import references, replaced
from limpid.errors import UserError
from limpid.models.restorer import Restorer
from limpid.store.fingerprint import scored_metrics, weighted_terms
from limpid.zoo import torch_files

#: The key of a checkpoint's hyper-parameters that holds the words a model is composed of.
WORDS = "overrides"

#: The parts of a configuration that a model is made of, and what else has a say in them.
_PARTS = ("model", "network", "loss", "optimizer", "lr_scheduler", "metrics", "inference")
_BESIDE = ("training", "budget", "memory_format", "compile", "skip_metrics")

#: A learning-rate shape is tried for a training of so many steps.
_STEPS = 2

_Model = TypeVar("_Model", bound=Restorer)


@dataclass(frozen=True)
class ModelConfig:
    """The blocks of a configuration that make a model, each as plain values with a `_target_`.

    Attributes:
        model: the LightningModule.
        network: the network it trains.
        loss: the terms that are switched on.
        optimizer: with `_partial_`: it waits for the parameters.
        lr_scheduler: with `_partial_`: it waits for the optimizer; None keeps the learning rate.
        metrics: those that are not skipped, by name.
        inference: how whole images go through the network.
        memory_format: ``channels_last`` or ``contiguous_format``.
        compile: whether the network is compiled for training steps.
        allow_targets: packages besides Limpid's usual ones that a `_target_` may come from.
    """

    model: Mapping[str, object]
    network: Mapping[str, object]
    loss: Mapping[str, object] | None
    optimizer: Mapping[str, object] | None
    lr_scheduler: Mapping[str, object] | None
    metrics: Mapping[str, object]
    inference: Mapping[str, object]
    memory_format: str
    compile: bool
    allow_targets: Sequence[str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ModelConfig:
        """The blocks in a whole configuration, as composed."""
        return cls(
            model=config["model"],
            network=config["network"],
            loss=weighted_terms(config["loss"]),
            optimizer=config["optimizer"],
            lr_scheduler=config["lr_scheduler"],
            metrics=scored_metrics(config),
            inference=config["inference"],
            memory_format=config["memory_format"],
            compile=config["compile"],
            allow_targets=config["allow_targets"],
        )


def model(name: str, *overrides: str, allow_targets: Sequence[str] = ()) -> Restorer:
    """The LightningModule that `limpid train` trains, with its loss, optimizer and learning rate, for any Trainer.

        model = limpid.model("rfd_student")
        model = limpid.model("+uni_removal/table4=bkt_icl_fcl", "budget=smoke")

    Args:
        name: of a file in conf/model or of a network, or the first override, such as ``+rfd/table5=student``.
        overrides: more words as `limpid train` takes them, such as ``optimizer.lr=1e-4``. Those for data, Trainer and
            callbacks have no effect.
        allow_targets: packages besides Limpid's usual ones that objects of the configuration may come from.

    Raises:
        CannotRun: the loss needs a file that is not there.
        UserError: a word is unknown, or a value does not fit.
    """
    is_name = isinstance(name, str) and "=" not in name
    first = f"model={name}" if is_name else name
    return _composed_model(compose([first, *overrides, *_allowing(allow_targets)]))


def _allowing(packages: Sequence[str]) -> list[str]:
    refuse_kinds({"allow_targets": Sequence[str]}, "", {"allow_targets": packages}, strict=True)
    return [f"allow_targets=[{','.join(packages)}]"] if packages else []


def _composed_model(composed: Composed) -> Restorer:
    """The model of a composed configuration, which starts without the weights of other rows: only a run makes these."""
    config = composed.config
    loss = weighted_terms(config["loss"])
    instantiate.check(
        {**{key: config[key] for key in _PARTS}, "loss": loss}, "", config["allow_targets"], instantiate.GIVEN
    )
    if config["optimizer"] is not None:
        refuse_optimizer(config)
    others = dict.fromkeys(references(config["model"]).values())
    parts = replace(ModelConfig.of(config), model=replaced(config["model"], others))
    made = build_model(parts, composed.choices["network"])
    made.save_hyperparameters({WORDS: model_words(composed.overrides)}, logger=False)
    return made


def model_words(overrides: Sequence[str]) -> list[str]:
    """The words of `overrides` that a model is made of; not those of its data, and not where weights lie."""
    return [word for word in overrides if _is_of_model(key_of(word))]


def _is_of_model(key: str) -> bool:
    top = key.split(".")[0]
    return is_table(key) or (top in (*_PARTS, *_BESIDE) and not key.endswith(".ckpt"))


def refuse_optimizer(config: Mapping[str, Any]) -> None:
    """Refuse an optimizer or a learning-rate shape that cannot be made.

    Args:
        config: of a training, plain values.

    Raises:
        UserError: naming it, its settings and the reason.
    """
    allow = config["allow_targets"]
    described = config["optimizer"]
    if described is None:
        raise UserError("The training has no optimizer; choose one, such as optimizer=adam.")
    optimizer = instantiate.construct(_whole(described), "optimizer", allow, params=torch.nn.Linear(1, 1).parameters())
    if config["lr_scheduler"] is not None:
        shape = _whole(config["lr_scheduler"])
        instantiate.construct(shape, "lr_scheduler", allow, optimizer=optimizer, steps=_STEPS)


def _whole(described: Mapping[str, Any]) -> dict[str, Any]:
    """The description of an object that waits for nothing."""
    return {key: value for key, value in described.items() if key != "_partial_"}


def build_model(
    config: ModelConfig, network_name: str, training: bool = True, provenance: Mapping[str, object] | None = None
) -> Restorer:
    """The model that a configuration describes, with its network, loss, optimizer, learning rate and metrics.

    Args:
        config: its blocks.
        network_name: the network's name in the registry.
        training: False leaves out the loss, whose terms may need files, such as VGG-19's weights, that a test does not.
        provenance: plain facts about the run, stored in its checkpoints.

    Raises:
        CannotRun: the loss needs a file that is not there.
        UserError: the loss requires what the model does not provide.
    """
    allow = config.allow_targets
    network = instantiate.construct(config.network, "network", allow)
    optimizer = instantiate.construct(config.optimizer, "optimizer", allow)
    lr_scheduler = instantiate.construct(config.lr_scheduler, "lr_scheduler", allow)
    loss = {"loss": instantiate.construct(config.loss, "loss", allow)} if training else {}
    made: Restorer = instantiate.construct(
        config.model,
        "model",
        allow,
        network=network,
        optimizer=optimizer,
        lr_scheduler=lr_scheduler,
        **loss,
        network_name=network_name,
        network_config={key: value for key, value in config.network.items() if key != "_target_"},
        metrics=instantiate.construct(config.metrics, "metrics", allow),
        provenance=provenance,
    )
    made.configure_network(config.memory_format, config.compile)
    made.inference = instantiate.construct(config.inference, "inference", allow)
    return made


def rebuilt(
    kind: type[_Model],
    path: str | Path,
    map_location: torch.device | str | None = None,
    strict: bool = True,
    allow_targets: Sequence[str] = (),
) -> _Model:
    """The model of a checkpoint, composed again from the words in it, with its weights.

    A checkpoint must not run code: words are refused that let it take objects from other packages, name an object
    themselves, or read a file by its path.

    Args:
        kind: the class that the model must be of.
        path: of the checkpoint.
        map_location: the device that the model is put on; None leaves it on the CPU.
        strict: whether all weights must be there, and no others.
        allow_targets: packages of yours that the model's objects may come from.

    Raises:
        UserError: the file holds no such words or forbidden ones, or the model is of another class.
    """
    loaded = checkpoint_file.read(Path(path))
    words = (loaded.get("hyper_parameters") or {}).get(WORDS)
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise UserError(
            f"The checkpoint {path} does not say how its model was composed, because it was made by hand; give its "
            f"parts, as in {kind.__name__}.load_from_checkpoint(path, network=...)."
        )
    for word in words:
        _refuse_unsafe(word, path)
    made = _composed_model(compose([*words, *_allowing(allow_targets)]))
    if not isinstance(made, kind):
        raise UserError(
            f"The checkpoint {path} holds a {type(made).__name__}, not a {kind.__name__}; load it with "
            f"{type(made).__name__}.load_from_checkpoint."
        )
    made.on_load_checkpoint(dict(loaded))
    try:
        made.load_state_dict(loaded["state_dict"], strict=strict)
    except RuntimeError as error:
        raise UserError(
            f"The weights of {path} do not fit the model it names: {str(error).splitlines()[-1].strip()}"
        ) from error
    return made if map_location is None else made.to(map_location)


def without_words(path: str | Path, weights_only: bool) -> BytesIO:
    """The checkpoint at `path` without the words its model was composed of, for a model that is made of given parts.

    Lightning would hand them to the model as an argument.

    Args:
        path: of the checkpoint.
        weights_only: open no Python objects. Without it the file can run any code, so it is only for a caller who asks
            for that, as in Lightning, of a file that is their own.

    Raises:
        UserError: with `weights_only`, the file is cut short, or holds other objects than plain values and tensors.
    """
    if weights_only:
        loaded: Any = torch_files.content(Path(path))
    else:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    hyper_parameters = loaded.get("hyper_parameters") if isinstance(loaded, dict) else None
    if isinstance(hyper_parameters, dict):
        hyper_parameters.pop(WORDS, None)
    buffer = BytesIO()
    torch.save(loaded, buffer)
    buffer.seek(0)
    return buffer


def _refuse_unsafe(word: str, path: str | Path) -> None:
    """Refuse a word of a checkpoint that could run code or lead to other files."""
    key, _, value = word.partition("=")
    asks = any(one in word for one in ("_target_", "allow_targets", "allow_nonfree", "${"))
    asks = asks or key.startswith(("hydra", "+hydra", "~hydra"))
    if asks or ".." in value or value.lstrip("'\"").startswith(("/", "~")):
        raise UserError(
            f"The checkpoint {path} asks for {word!r}, which a checkpoint may not; it is refused. If you trust it, "
            "make the model yourself and give its parts to load_from_checkpoint."
        )
