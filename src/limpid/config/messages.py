"""One sentence for each error of Hydra, OmegaConf and YAML in a configuration."""

from __future__ import annotations

import re

from limpid.errors import nearest
from limpid.paths import config_folders

#: The packages whose errors are a user's mistakes in a configuration.
_PACKAGES = ("hydra", "omegaconf", "yaml")
#: Keys under which one may look for what `training` holds.
_OF_TRAINING = ("budget", "schedule")
#: Keys at the top of a configuration that nobody sets by hand.
_NOT_SET_BY_HAND = ("hydra", "command", "mode")


def sentence(error: Exception) -> str | None:
    """The sentence for an error of Hydra, OmegaConf or YAML; None for any other error."""
    if str(error).startswith("Config group override must be a string or a list"):  # a plain ValueError of Hydra's
        return "A group of the configuration is set to null; name one of its options, or leave it out."
    if type(error).__module__.split(".")[0] not in _PACKAGES:
        return None
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options:
        group, _, wrong = str(missing).rpartition("/")
        return f"There is no {group}={wrong}{nearest(wrong, options) or '; there are ' + ', '.join(options) + '.'}"
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if group_match := re.search(r"Could not override '(.+?)'\. No match in the defaults list\.", text):
        name = group_match[1].split("@")[0]
        return f"There is no group or table {name!r}{_nearest_group(name)}"
    if key := re.search(r"Could not override '(.+?)'\. To append", text):
        return f"There is no setting {key[1]!r}{_nearest_key(error, key[1])}"
    if several := re.search(r"Ambiguous value for argument '(.+?)'", text):
        return f"The word {several[1]!r} names several values; add -m for a sweep over them, or write [...] for a list."
    if word := re.search(r"Error parsing override '(.*?)' missing EQUAL", text):
        return f"The word {word[1]!r} sets nothing; write KEY=VALUE, such as budget=mini."
    text = text.split(" Config search path:")[0].split(" full_key:")[0]
    return f"The configuration is refused: {text}"


def _nearest_group(name: str) -> str:
    tables: set[str] = set()
    for root in config_folders("experiments"):
        tables |= {str(folder.relative_to(root)) for folder in root.glob("*/*") if folder.is_dir()}
    groups: set[str] = set()
    for root in config_folders("conf"):
        groups |= {folder.name for folder in root.iterdir() if folder.is_dir()}
    if name in tables:
        return f"; a row is added with a plus: +{name}=..."
    return nearest(name, tables | groups) or "."


def _nearest_key(error: Exception, key: str) -> str:
    """A hint from the keys that stand where the unknown one was sought."""
    top, *_, last = key.split(".") if "." in key else ("", key)
    if top in _OF_TRAINING:
        return f"; what depends on the budget stands in training, a block for each: training.mini.{last}=..."
    cause: BaseException | None = error
    while cause is not None:
        node = getattr(cause, "parent_node", None)
        if node is not None and hasattr(node, "keys"):
            known = [str(name) for name in node if name not in _NOT_SET_BY_HAND]
            return nearest(last, known) or f"; there are {', '.join(known)}."
        cause = cause.__cause__
    return "; limpid train --cfg job prints all."
