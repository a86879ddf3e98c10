"""One sentence for each error of Hydra, OmegaConf and YAML in a configuration."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from traceback import walk_tb

from yaml import MarkedYAMLError

from limpid.config.yaml_files import reason
from limpid.errors import nearest, shortened
from limpid.paths import config_folders

#: The packages whose errors are a user's mistakes in a configuration.
_PACKAGES = ("hydra", "omegaconf", "yaml")
#: Keys under which one may look for what `training` holds.
_OF_TRAINING = ("budget", "schedule")
#: Keys at the top of a configuration that nobody sets by hand.
_NOT_SET_BY_HAND = ("hydra", "command", "mode")


def sentence(error: BaseException) -> str | None:
    """The sentence for an error of Hydra, OmegaConf or YAML, or raised inside of them; None for any other error."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    text = re.sub(r" See https://hydra\.cc\S+ for details", "", text)
    if text.startswith("Config group override must be a string or a list"):  # a plain ValueError of Hydra's
        return "A group of the configuration is set to null or to what is no name; name an option, or leave it out."
    if type(error).__module__.split(".")[0] not in _PACKAGES and not _was_raised_inside(error):
        return None
    if isinstance(error, RecursionError):
        return "The configuration is refused: lists, blocks or references lie too deep in each other; write it flatter."
    if isinstance(error, MarkedYAMLError):
        file = getattr(error.problem_mark, "name", None) or "a value"
        return f"The configuration is refused: {file}, {reason(error)}."
    word = getattr(error, "override", None)
    if isinstance(word, str) and "missing EQUAL" not in text:
        return _unreadable(error, shortened(word))
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if missing and options:
        found = re.search(r"Available options in '(.+?)'", text)
        group = found[1] if found else str(missing).rpartition("/")[0]
        wrong = str(missing).removeprefix(f"{group}/")
        hint = nearest(wrong, options) or "; there are " + ", ".join(options) + "."
        return f"There is no {group}={shortened(wrong)}{hint}"
    for pattern, words in _SENTENCES:
        if found := re.search(pattern, text, re.DOTALL):
            return words(error, *map(shortened, found.groups()))
    if text.startswith("Error merging override") and error.__cause__ is not None:
        text += f": {next(iter(str(error.__cause__).splitlines()), '')}"
    text = text.split(" Config search path:")[0].split(" full_key:")[0]
    return f"The configuration is refused: {shortened(text, 600)}"


def _was_raised_inside(error: BaseException) -> bool:
    """Whether the innermost frame of an error, but for Python's own modules, is in one of the packages."""
    raised = [frame.f_globals.get("__name__", "").split(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    others = [name for name in raised if name not in sys.stdlib_module_names]
    return bool(others) and others[-1] in (*_PACKAGES, "antlr4")


def _unreadable(error: BaseException, word: str) -> str:
    return (
        f"The word {word!r} cannot be read; close its brackets and quotes, and put a value with other signs than "
        "letters, digits and ./:+- in quotes: KEY=\"'VALUE'\"."
    )


def _unresolved(error: BaseException, why: str) -> str:
    key = getattr(error, "full_key", None)
    is_ours = bool(key) and not str(key).startswith("hydra.")
    place = f"The value of {key}" if is_ours else "A value of the configuration"
    return f"{place} refers to what is not there: {why.rstrip('.')}."


#: What the text of an error looks like, and the sentence for what its groups hold.
_SENTENCES: tuple[tuple[str, Callable[..., str]], ...] = (
    (
        r"Could not override '(.*?)'\. No match in the defaults list\.",
        lambda error, key: f"There is no group or table {key.split('@')[0]!r}{_nearest_group(key.split('@')[0])}",
    ),
    (
        r"Could not override '(.+?)'\. To append",
        lambda error, key: f"There is no setting {key!r}{_nearest_key(error, key)}",
    ),
    (
        r"Multiple values for (.+?)\. To override",
        lambda error, group: f"The group {group!r} is chosen twice; choose it once, or add -m for a sweep over both.",
    ),
    (
        r"Could not delete from config\. '?(.+?)'? does not exist",
        lambda error, key: f"There is no setting {key!r} that ~{key} could take away.",
    ),
    (
        r"Ambiguous value for argument '(.+?)'",
        lambda error, word: (
            f"The word {word!r} names several values; add -m for a sweep over them, or write [...] for a list."
        ),
    ),
    (
        r"Error parsing override '(.*?)' missing EQUAL",
        lambda error, word: f"The word {word!r} sets nothing; write KEY=VALUE, such as budget=mini.",
    ),
    (r"LexerNoViableAltException: (.*?) +\^", _unreadable),
    (r"(?:no viable alternative at|mismatched|extraneous) input '(.*?)'", _unreadable),
    (r"raised while resolving interpolation: (.*?)(?: full_key:| object_type=|$)", _unresolved),
    (r"(Interpolation key '.*?' not found)", _unresolved),
    (
        r"Exceeds the limit \((\d+) digits\)",
        lambda error, digits: f"A number of the configuration has more than {digits} digits; write a smaller one.",
    ),
)


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


def _nearest_key(error: BaseException, key: str) -> str:
    """A hint from the keys that stand where the unknown one was sought."""
    top, *_, last = key.split(".") if "." in key else ("", key)
    if top in _OF_TRAINING:
        return f"; what depends on the budget stands in training, a block for each: training.mini.{last}=..."
    cause: BaseException | None = error
    while cause is not None:
        node = getattr(cause, "parent_node", None)
        if node is not None and hasattr(node, "keys"):
            known = [str(name) for name in node if name not in _NOT_SET_BY_HAND]
            return nearest(last, known) or (f"; there are {', '.join(known)}." if known else "; it has no settings.")
        cause = cause.__cause__
    return "; limpid train --cfg job prints all."
