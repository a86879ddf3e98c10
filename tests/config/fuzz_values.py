"""Malformed command lines, systematically: every key of several configurations with values it should not have.

Not a test module: `command_lines` is for `make fuzz`, and for whoever changes what a configuration takes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from limpid.config.compose import compose

#: What is written in the place of a value.
VALUES = (
    *("0", "-1", "1.5", "nan", "inf", "-inf", "null", "abc", "''", "[]", "{}", "[1,2,3]", "true", "1e30"),
    *("4294967296", "1e999", "-0", "1_000", "0x", "[[[]]]", "{a: 1}", "${seed}", "${oc.env:NOPE}", "9" * 5000),
    *("a" * 3000, "[" * 200 + "]" * 200, "'", "${", "(", "[1", "a=b", "${oc.decode:'['}"),
)
_TINY = ("budget=smoke", "trainer=cpu", "data.workers=0")
#: What is run, short: a command and the words that the malformed one is added to, and how many are drawn of each.
COMMANDS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (300, "train", ("model=aod_net", "data=scenes", *_TINY)),
    (60, "train", ("model=fdr", "data=scenes", *_TINY)),
    (40, "train", ("model=rfd", "data=scenes", *_TINY)),
    (40, "train", ("model=op_attention", "data=scenes", *_TINY)),
    (40, "train", ("model=rl_restore", "data=scenes", *_TINY)),
    (40, "train", ("model=dehaze_flow", "data=scenes", *_TINY)),
    (40, "train", ("model=epdn", "data=scenes", *_TINY)),
    (40, "train", ("model=deblurgan_v2", "data=scenes", *_TINY)),
    (40, "train", ("model=uni_removal_adaptation", "data=scenes_unpaired", *_TINY)),
    (80, "test", ("model=wmcp", "data=scenes", *_TINY)),
    (60, "profile", ("model=aod_net", "image_size=[32,32]", "repeats=1", "device=cpu")),
    (60, "export", ("model=gamma", "output=exported", "format=torch")),
    (60, "predict", ("model=gamma", "input=a.png", "output=out", "device=cpu")),
)


def command_lines(seed: int) -> Iterator[tuple[str, ...]]:
    """The words of some 900 commands, each with one setting that is malformed, missing, unknown or written twice.

    Args:
        seed: of which keys and values are drawn.
    """
    rng = random.Random(seed)
    for count, command, words in COMMANDS:
        keys = sorted(_keys(compose(words, command).config))
        for _ in range(count):
            yield (command, *words, _malformed(rng, rng.choice(keys)))


def _malformed(rng: random.Random, key: str) -> str:
    kind = rng.random()
    if kind < 0.08:
        return f"~{key}"
    if kind < 0.11:
        return f"+{key}.nope=1"
    if kind < 0.13:
        return f"{key}x=1"
    return f"{key}={rng.choice(VALUES)}"


def _keys(config: Mapping[str, object], above: str = "") -> Iterator[str]:
    """Every key of a configuration, those of blocks too."""
    for name, value in config.items():
        yield f"{above}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{above}{name}.")
