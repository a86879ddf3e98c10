"""What of a run is one's own, and enters its fingerprint by its content: sets without a publisher, and classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.config.compose import Composed, key_of
from limpid.config.own_code import own_packages, source_digests
from limpid.config.registry import network_config
from limpid.data.own_sets import own_contents, refuse_no_root
from limpid.runs.spec import TestedWeights


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
    """What a fingerprint hashes: the settings, and one's own content where there is any."""
    return {**parts, "own": dict(own)} if own else dict(parts)


def refuse_typed_root(composed: Composed) -> None:
    """Refuse a data root that was typed and does not exist, where sets of one's own should lie in it.

    Raises:
        CannotRun: as `limpid.data.own_sets.refuse_no_root` does.
    """
    config = composed.config
    typed = [key.split(".") for key in map(key_of, composed.overrides) if key.startswith("data.") and "root" in key]
    roots = [value for value in (_value(config, keys) for keys in typed) if isinstance(value, str)]
    refuse_no_root(config["data"], config["mode"], roots, config["allow_targets"])


def _value(config: Any, keys: list[str]) -> object:
    """The value under keys, or None."""
    for key in keys:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
