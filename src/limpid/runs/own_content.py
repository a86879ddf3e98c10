"""What enters a run's fingerprint by its content: sets without a publisher, one's own classes, and files of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limpid import zoo
from limpid.config.compose import Composed, key_of
from limpid.config.own_code import own_packages, source_digests
from limpid.config.references import PREFIX
from limpid.config.registry import network_config
from limpid.data.own_sets import own_contents, refuse_no_root
from limpid.errors import UserError
from limpid.runs.spec import TestedWeights
from limpid.store.content import content_digest
from limpid.zoo.published import how_to_get

#: Keys under which a configuration names files of weights.
_WEIGHTS = ("ckpt", "weights")


def own_content(
    config: Mapping[str, Any], mode: str, parts: Mapping[str, object], tested: TestedWeights | None = None
) -> dict[str, str]:
    """A hash of each set of one's own that a run reads, by its key, and of the source of each package of one's own.

    Args:
        config: as composed.
        mode: of the run.
        parts: what of the configuration can change the result, as `limpid.store.fingerprint.affecting` gives it.
        tested: the weights of a test, whose network is not that of `config`.

    Raises:
        UserError: a file cannot be read, or a set does not say clearly which files are pairs.
    """
    allow = config["allow_targets"]
    contents = own_contents(config["data"], mode, allow) if config.get("data") else {}
    network = config.get("network") if tested is None else network_config(tested.network)
    packages = own_packages(dict(parts), allow) | own_packages(network, allow)
    return contents | source_digests(packages)


def with_own(parts: Mapping[str, object], own: Mapping[str, str]) -> dict[str, object]:
    """What a fingerprint hashes: the settings, files of weights by their content, and one's own where there is any.

    Raises:
        UserError: there is no such card in the zoo, its weights have to be got by hand, or a file cannot be read.
    """
    settings: dict[str, object] = _with_weights(parts)
    return {**settings, "own": dict(own)} if own else settings


def refuse_typed_root(composed: Composed) -> None:
    """Refuse a data root that was typed and does not exist, where sets of one's own should lie in it.

    Raises:
        CannotRun: as `limpid.data.own_sets.refuse_no_root` does.
    """
    config = composed.config
    typed = [key for key in map(key_of, composed.overrides) if key.startswith("data.") and "root" in key]
    values = [_value(config, key.split(".")) for key in typed]
    roots = [value for value in values if isinstance(value, str)]
    refuse_no_root(config["data"], config["mode"], roots, config["allow_targets"])


def refuse_typed_weights(composed: Composed) -> None:
    """Refuse the checkpoint of a part of the model that was typed and does not exist, whether it is needed or not.

    Raises:
        UserError: naming the first.
    """
    for key in map(key_of, composed.overrides):
        named = _value(composed.config, key.split(".")) if key.startswith("model.") and key.endswith(".ckpt") else None
        if isinstance(named, str) and not named.startswith(PREFIX) and _digest(named) is None:
            raise UserError(f"There is no checkpoint {named} for {key}; correct its path, or leave it out.")


def _with_weights(value: Any) -> Any:
    """The plain `value` with a hash in the place of each file of weights that is there, and of each ``zoo:NAME``.

    The path itself is left out: a copy elsewhere has the same effect, and another file at the same place has not.
    """
    if isinstance(value, Mapping):
        return {key: (key in _WEIGHTS and _digest(member)) or _with_weights(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_with_weights(member) for member in value]
    return value


def _digest(named: object) -> str | None:
    """A hash of the file of weights that is `named`, or None where it is no file: null, ``random``, ``row:...``.

    Of weights that others publish it is one of their checksums, so that it is the same before they are fetched.
    """
    if not isinstance(named, str) or named == "random":
        return None
    name = zoo.parse_zoo_name(named)
    if name is None:
        return _digest_of(Path(named).expanduser())
    card = zoo.find(name)
    if card.get:
        raise UserError(how_to_get(card))
    if card.files:
        return hashlib.sha256(" ".join(file["sha256"] for file in card.files).encode()).hexdigest()
    return _digest_of(card.weights)


def _digest_of(file: Path) -> str | None:
    return content_digest([("weights", file)]) if file.is_file() else None


def _value(config: Any, keys: list[str]) -> object:
    """The value under keys, or None."""
    for key in keys:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
