"""`limpid test`: evaluate a checkpoint, a row's own weights or a prior, or score folders of images."""

from __future__ import annotations

from limpid.commands import score, train

HELP = """limpid test [+PAPER/TABLE=ROW] [ckpt=PATH] [OVERRIDE ...]

Tests weights on the test sets of a recipe, in float32, every image counted once. With a row and no ckpt, tests the
weights that training the row left in the run store.

  limpid test +rfd/table5=student ckpt=best.ckpt data.root=/data
  limpid test ckpt=runs/rfd/table5/student/mini/seed-0/checkpoints/best.ckpt data=sots_indoor data.root=/data
  limpid test +rfd/table5=student budget=mini             the row's own weights at that budget

"""
HELP += score.HELP


def run(arguments: list[str]) -> int:
    """The exit status, after composing and testing, or after scoring folders."""
    if any(argument.partition("=")[0] == "images" for argument in arguments):
        return score.run(arguments)
    from limpid.runs.select_network import with_aliases

    return train.run(with_aliases(arguments), "test", HELP)
