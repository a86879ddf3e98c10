"""Which methods the words of `limpid predict` ask for, before Hydra sees them: it knows one model by its name alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limpid import hints, zoo
from limpid.checkpoint import own_name
from limpid.config.compose import key_of
from limpid.config.recipes import names as options
from limpid.errors import UserError

#: The word that has each photograph choose its method.
AUTO = "auto"
#: What people call the model, and the least that is to be said.
_MEANT = ("method", "methods", "models", "prior", "name")
_EXAMPLE = "model=wmcp input=photos/ output=clear/"
#: Words of Hydra's own, with which nothing is restored.
_LOOKING = ("--cfg", "-c", "--info", "-i", "--help", "--hydra-help", "--version")


@dataclass(frozen=True)
class Asked:
    """What the words ask for.

    Attributes:
        names: of several methods, or of one that Hydra does not know; empty where Hydra chooses.
        auto: whether each photograph chooses.
        words: those that are left for Hydra.
    """

    names: tuple[str, ...]
    auto: bool
    words: tuple[str, ...]

    def networks(self) -> list[str]:
        """What each name has restore: itself, or where it is a model's, that model's network."""
        from limpid.config.compose import compose
        from limpid.config.registry import registered

        models = {name for name in self.names if name in options("model") and name not in registered()}
        return [
            compose([f"model={name}"], "predict").choices["network"] if name in models else name for name in self.names
        ]

    def folders(self) -> list[str]:
        """The name of each method's folder: its own, without ``zoo:``, and of a checkpoint the stem of its file.

        Raises:
            UserError: two would be one.
        """
        from limpid.methods import short_name

        named: dict[str, str] = {}
        for name in self.names:
            short = short_name(name)
            other = named.setdefault(short.casefold(), name)
            if other != name:
                raise UserError(
                    f"The results of {other} and of {name} would both be in the folder {short}; give two commands."
                )
        return [short_name(name) for name in self.names]


def asked(words: Sequence[str]) -> Asked:
    """What `words` ask for.

    Raises:
        UserError: no method is asked for, or what is asked for is none; the sentence says what there is.
    """
    _refuse_words(words)
    given = {key_of(word): word.partition("=")[2] for word in words if "=" in word}
    models = _members(given["model"]) if "model" in given else []
    if not models and not {"ckpt", "network"} & set(given) and "input" in given:
        return Asked((), True, tuple(words))
    if not models:
        _refuse_none(given, words)
        return Asked((), False, tuple(words))
    known = {*options("model"), *options("network")}
    models = [name if name in known or name == AUTO else own_name(name) for name in models]
    if len(models) == 1 and models[0] in known and not given["model"].startswith("["):
        return Asked((), False, tuple(words))
    _refuse_settings(given)
    left = tuple(word for word in words if key_of(word) != "model")
    if models == [AUTO]:
        return Asked((), True, left)
    _refuse_names(models, known)
    return Asked(tuple(models), False, left)


def _refuse_words(words: Sequence[str]) -> None:
    """Refuse words that set nothing, or that name the method by another word than ``model``."""
    for number, word in enumerate(words):
        key, separator, value = word.partition("=")
        if word.startswith("--") and key.removeprefix("--") in ("model", "input", "output", "ckpt", *_MEANT):
            raise UserError(f"{key} is written without dashes, as in limpid predict {_EXAMPLE}.")
        if key.lstrip("+") in _MEANT and separator:
            raise UserError(f"limpid predict does not use {key!r}; the method is named as model={value}.")
        follows_a_flag = number > 0 and words[number - 1].startswith("-")
        if not separator and not word.startswith(("-", "~")) and not follows_a_flag:
            hint = "a list has no spaces in it: model=[NAME,NAME]" if word.endswith("]") else "write KEY=VALUE"
            raise UserError(f"The word {word!r} sets nothing; {hint}, as in limpid predict {_EXAMPLE}.")


def _refuse_none(given: Mapping[str, str], words: Sequence[str]) -> None:
    """Refuse words that ask for no method at all."""
    if given.get("ckpt", "").strip("'\"").startswith("["):
        members = ",".join(_members(given["ckpt"]))
        raise UserError(f"ckpt takes one checkpoint; several methods are given as model=[{members}].")
    if not {"ckpt", "network"} & set(given) and not set(words) & set(_LOOKING):
        raise UserError(hints.what_suits())


def _refuse_settings(given: Mapping[str, str]) -> None:
    """Refuse what would set something of one network where several have their own."""
    for key in given:
        if key in ("ckpt", "network") or key.startswith("network."):
            raise UserError(
                f"model={given['model']} names methods with weights and settings of their own, so {key} cannot be "
                "set; leave it out."
            )


def _refuse_names(models: Sequence[str], known: Collection[str]) -> None:
    """Refuse a name that is none, or that comes twice."""
    for name in models:
        if models.count(name) > 1:
            raise UserError(f"model=[{','.join(models)}] names {name} twice; name each method once.")
        if name == AUTO:
            raise UserError("model=auto chooses by itself; give it alone, or name the methods.")
        if name not in known and zoo.parse_zoo_name(name) is None and not Path(name).is_file():
            hints.refuse_unknown(name, known)


def _members(value: str) -> list[str]:
    """The names in ``NAME``, ``[NAME,NAME]`` or ``NAME,NAME``."""
    inner = value.strip().strip("\"'").removeprefix("[").removesuffix("]")
    return [name.strip().strip("\"'") for name in inner.split(",") if name.strip()]
