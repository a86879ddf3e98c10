"""Objects from configs: which `_target_`s are allowed, whether their arguments exist, and how they are made.

A config is plain data: dicts, lists, strings, numbers, None. A dict with a `_target_` describes an object, its other
keys are keyword arguments, and `_partial_: true` asks for a function that still waits for the rest.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import sys
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from limpid.config.kinds import refuse_kinds
from limpid.errors import UserError, nearest, reason_of, shortened

# PyTorch says it of each layer; `_refuse_empty` does in a sentence.
warnings.filterwarnings("ignore", message="Initializing zero-element tensors")

#: Packages a `_target_` may name without being listed in `allow_targets`.
ALLOWED = ("limpid", "torch", "lightning", "torchmetrics", "albumentations", "kornia")

#: Where in them it must be defined, if it is a class, and if it is a function: others start processes, write files,
#: load code. And a module's attributes are also what it imports: torch.os.system is none of torch.
_CLASSES = ("limpid", "torch.nn", "torch.optim", "lightning", "torchmetrics", "albumentations", "kornia")
_FUNCTIONS = ("limpid.lr_schedulers", "torch.nn", "torch.optim")

_DIRECTIVES = {"_target_", "_partial_"}

#: What Limpid itself hands to the objects of a configuration, by the key at which they stand.
GIVEN = {
    "model": (
        "network",
        "network_name",
        "network_config",
        "loss",
        "optimizer",
        "lr_scheduler",
        "metrics",
        "provenance",
    ),
    "optimizer": ("params",),
    "lr_scheduler": ("optimizer", "steps"),
    "trainer": (
        *("callbacks", "logger", "plugins", "default_root_dir", "use_distributed_sampler", "num_sanity_val_steps"),
        *("log_every_n_steps", "check_val_every_n_epoch", "enable_progress_bar", "enable_model_summary"),
    ),
}


def locate(path: str, where: str, allow: Sequence[str] = ()) -> Any:
    """The object that the dotted `path` names.

    Args:
        path: such as ``limpid.networks.ffa_net.FFANet``.
        where: the config key it stands at, for the sentence.
        allow: further packages a target may name (`allow_targets`); they may lie in the current directory.

    Raises:
        UserError: the package is not allowed, or nothing of that name is there.
    """
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        raise UserError(
            f"{where}._target_ is {shortened(repr(path))}, but it must be the dotted name of a class, such as "
            "limpid.losses.L1."
        )
    package = path.split(".", 1)[0]
    if package not in (*ALLOWED, *allow):
        raise UserError(
            f"{where}._target_ names {path!r}, but targets may only come from {', '.join((*ALLOWED, *allow))}; "
            f"if you trust it, add allow_targets=[{package}]."
        )
    if package in allow and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that it takes no installed package's place
    parts = path.split(".")
    for split in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:split])
        try:
            target: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                continue  # not a module; the name may be an attribute of the package above
            raise
        for name in parts[split:]:
            if not hasattr(target, name):
                hint = nearest(name, (n for n in dir(target) if not n.startswith("_")))
                raise UserError(f"{where}._target_ names {path!r}, but {module_name} has no {name!r}{hint or '.'}")
            target = getattr(target, name)
        if package not in allow:
            _refuse_others(target, path, where)
        return target
    raise UserError(f"{where}._target_ names {path!r}, but there is no module {package!r} to import.")


def _refuse_others(found: object, path: str, where: str) -> None:
    """Refuse what `path` leads to but is no class or function that configs are meant to name."""
    origin = str(getattr(found, "__module__", None))
    parts = _CLASSES if inspect.isclass(found) else _FUNCTIONS
    if not any(f"{origin}.".startswith(f"{part}.") for part in parts):
        package = path.split(".", 1)[0]
        own = [part for part in parts if part.split(".")[0] == package]
        kind = "classes" if inspect.isclass(found) else "functions"
        rule = f"{kind} of {' and '.join(own)}" if own else f"classes, not {kind}"
        raise UserError(
            f"{where}._target_ names {path!r}, but of {package} targets may only name {rule}; "
            f"if you trust it, add allow_targets=[{package}]."
        )


def check(
    config: object, where: str, allow: Sequence[str] = (), given: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Refuse unknown targets and unknown keyword arguments anywhere in `config`, before anything is made.

    Args:
        config: plain data.
        where: its key, for the sentence; an empty string at the top.
        allow: further packages a target may name.
        given: arguments that the program itself adds to the object at a key, by key.

    Raises:
        UserError: naming the key, the object, and the nearest argument that exists.
    """
    for key, node in _targets(config, where):
        target = locate(node["_target_"], key, allow)
        arguments = {name: value for name, value in node.items() if name not in _DIRECTIVES}
        refuse_kinds({"_partial_": bool}, key, {"_partial_": node.get("_partial_", False)}, strict=True)
        is_partial = node.get("_partial_", False)
        _check_arguments(target, node["_target_"], key, arguments, (given or {}).get(key, ()), is_partial)
        refuse_kinds(annotations_of(target), key, arguments, strict=target.__module__.startswith("limpid."))


def construct(config: object, where: str, allow: Sequence[str] = (), **extra: Any) -> Any:
    """The object that `config` describes; `extra` are further keyword arguments of the outermost one.

    Lists and dicts without a `_target_` come back with their members made.

    Raises:
        UserError: as in `locate`; or an object of Limpid or of a library that it builds on cannot be made of these
            settings. What a class of one's own raises passes as it is, with its traceback.
    """
    if isinstance(config, Mapping):
        members = {k: construct(v, f"{where}.{k}", allow) for k, v in config.items() if k not in _DIRECTIVES}
        if "_target_" not in config:
            return {**members, **extra}
        target = locate(config["_target_"], where, allow)
        arguments = {**members, **extra}
        return functools.partial(target, **arguments) if config.get("_partial_") else _made(target, where, arguments)
    if isinstance(config, list | tuple):
        return [construct(member, f"{where}[{i}]", allow) for i, member in enumerate(config)]
    return config


#: What a class raises that is given numbers or lists it can make nothing of.
_UNFIT = (ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def _made(target: Any, where: str, arguments: Mapping[str, Any]) -> Any:
    """The object that `target` makes of `arguments`."""
    try:
        made = target(**arguments)
        if target.__module__.startswith("limpid."):
            _refuse_empty(made)
    except Exception as error:
        is_ours = target.__module__.split(".", 1)[0] in ALLOWED
        if not is_ours or not (isinstance(error, _UNFIT) or _is_refusal_of_lightning(error)):
            raise
        plain = {name: value for name, value in arguments.items() if _is_plain(value)}
        settings = ", ".join(f"{name}={value}" for name, value in plain.items()) or "its settings"
        reason = shortened(reason_of(error), 400)
        raise UserError(
            f"{where} cannot be made with {shortened(settings)} ({reason}); change what does not fit."
        ) from error
    return made


def _is_refusal_of_lightning(error: Exception) -> bool:
    """Whether Lightning refuses settings in a way of its own; asked by name, so that nothing imports it for that."""
    return type(error).__name__ == "MisconfigurationException" and type(error).__module__.startswith("lightning.")


def _refuse_empty(made: object) -> None:
    """Refuse a network with a layer of no channels, which PyTorch makes but cannot use."""
    for name, parameter in getattr(made, "named_parameters", tuple)():
        if not parameter.numel():
            raise ValueError(f"{name} would have no numbers in it")


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_plain(member) for member in value)
    return value is None or isinstance(value, bool | int | float | str)


def _targets(config: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dict with a `_target_` in `config`, outermost first, with its key."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield where, config
        for key, member in config.items():
            yield from _targets(member, f"{where}.{key}" if where else str(key))
    elif isinstance(config, list | tuple):
        for i, member in enumerate(config):
            yield from _targets(member, f"{where}[{i}]")


def _check_arguments(
    target: object, path: str, where: str, arguments: Mapping[str, object], given: Sequence[str], partial: bool
) -> None:
    parameters = parameters_of(target)
    names = [n for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in sorted(set(arguments) - set(names)):
        if not open_ended:
            raise UserError(
                f"{where}.{name} is not an argument of {path}"
                f"{nearest(name, names) or '; leave it out: it takes ' + (', '.join(names) or 'none') + '.'}"
            )
    for name in sorted(set(arguments) & set(given)):
        raise UserError(f"{where}.{name} is set by Limpid itself, from the rest of the configuration; leave it out.")
    required = [n for n in names if parameters[n].default is inspect.Parameter.empty]
    missing = [n for n in required if n not in arguments and n not in given]
    if missing and not partial:
        raise UserError(f"{where} lacks the argument {missing[0]!r} of {path}; set {where}.{missing[0]}=...")


def parameters_of(target: Any) -> dict[str, inspect.Parameter]:
    """The arguments of `target` by name.

    A class whose ``__init__`` hands its ``**settings`` on to its base has the base's arguments too, so that it need not
    repeat them.
    """
    if not inspect.isclass(target):
        return dict(inspect.signature(target).parameters)
    parameters: dict[str, inspect.Parameter] = {}
    for init in _inits(target):
        own = dict(list(inspect.signature(init).parameters.items())[1:])
        rest = {name for name, p in own.items() if p.kind is p.VAR_KEYWORD}
        parameters = {**{name: p for name, p in own.items() if name not in rest}, **parameters}
        if not rest:
            return parameters
    return (
        {**parameters, **{name: own[name] for name in rest}}
        if parameters
        else dict(inspect.signature(target).parameters)
    )


def _inits(target: type) -> list[Any]:
    """The ``__init__`` functions written in Python of a class and its bases, in the order they are called."""
    return [cls.__dict__["__init__"] for cls in target.__mro__ if inspect.isfunction(cls.__dict__.get("__init__"))]


def annotations_of(target: object) -> dict[str, Any]:
    """The annotations of the arguments that `parameters_of` gives; none where those of a library cannot be read."""
    try:
        return _read_hints(target)
    except (NameError, TypeError, AttributeError):
        return {}


def _read_hints(target: object) -> dict[str, Any]:
    if not inspect.isclass(target):
        return typing.get_type_hints(target, include_extras=True)
    if dataclasses.is_dataclass(target):
        return typing.get_type_hints(
            target, include_extras=True
        )  # each field's annotation is read where its own class stands
    hints: dict[str, Any] = {}
    for init in _inits(target):
        hints = {**typing.get_type_hints(init, include_extras=True), **hints}
        if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(init).parameters.values()):
            break
    return hints
