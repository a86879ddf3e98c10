"""Objects from configs: what is allowed, what is refused, and in which words."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from limpid.config import instantiate
from limpid.errors import UserError

CONV = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 1}


def test_objects_lists_and_partials_are_made() -> None:
    made = instantiate.construct({"layers": [CONV, {"_target_": "torch.nn.ReLU"}], "width": 4}, "net")
    assert [type(layer) for layer in made["layers"]] == [nn.Conv2d, nn.ReLU]
    assert made["width"] == 4
    adam = instantiate.construct({"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.5}, "optimizer")
    assert isinstance(adam, partial)
    assert adam([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] == 0.5
    assert instantiate.construct(CONV, "net", out_channels=7).out_channels == 7


@pytest.mark.parametrize(
    "path", ["os.system", "subprocess.run", "builtins.eval", "torchvision.models.vgg19", "limpids.x"]
)
def test_other_packages_are_not_imported(path: str) -> None:
    with pytest.raises(UserError, match=r"net\._target_ names .* add allow_targets"):
        instantiate.check({"net": {"_target_": path}}, "")


def test_a_package_can_be_allowed() -> None:
    made = instantiate.construct(
        {"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}, "x", ["fractions"]
    )
    assert made * 2 == 1


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match=r"torch\.nn has no 'Conv2dd'; did you mean 'Conv2d'\?"):
        instantiate.locate("torch.nn.Conv2dd", "net")
    with pytest.raises(
        UserError,
        match=r"net\.kernel_sise is not an argument of torch\.nn\.Conv2d; did you mean 'kernel_size'",
    ):
        instantiate.check(CONV | {"kernel_sise": 3}, "net")
    with pytest.raises(UserError, match=r"lacks the argument 'kernel_size'.*set net\.kernel_size=\.\.\."):
        instantiate.check({k: v for k, v in CONV.items() if k != "kernel_size"}, "net")
    with pytest.raises(UserError, match=r"a\[1\]\.b\.lrr"):
        instantiate.check({"a": [1, {"b": {"_target_": "torch.optim.Adam", "_partial_": True, "lrr": 3}}]}, "")


def test_words_where_numbers_belong() -> None:
    with pytest.raises(UserError, match=r"net\.bias is 'much', but it must be float"):
        instantiate.check({"_target_": "limpid.networks.aod_net.AODNet", "bias": "much"}, "net")
    with pytest.raises(UserError, match=r"net\.channels is null, but it must be int"):
        instantiate.check({"_target_": "limpid.networks.aod_net.AODNet", "channels": None}, "net")
    instantiate.check({"_target_": "limpid.networks.ffa_net.FFANet", "mean": None}, "net")


class Base:
    def __init__(self, first: int, second: float = 0.0) -> None:
        self.values = (first, second)


class Derived(Base):
    def __init__(self, *arguments: int, third: int = 3, **settings: float) -> None:
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]


class Open(Base):
    def __init__(self, **settings: float) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]


def test_a_class_that_hands_its_settings_on_has_its_bases_arguments() -> None:
    assert list(instantiate.parameters_of(Derived)) == ["first", "second", "arguments", "third"]
    assert list(instantiate.parameters_of(Open)) == ["first", "second"]
    here = __name__
    instantiate.check({"_target_": f"{here}.Derived", "first": 1, "third": 2}, "x", allow=[here.split(".")[0]])
    with pytest.raises(UserError, match=r"x\.secnd is not an argument .* did you mean 'second'"):
        instantiate.check({"_target_": f"{here}.Derived", "first": 1, "secnd": 2}, "x", allow=[here.split(".")[0]])
    with pytest.raises(UserError, match="x lacks the argument 'first'"):
        instantiate.check({"_target_": f"{here}.Open"}, "x", allow=[here.split(".")[0]])
    with pytest.raises(UserError, match=r"x\.second is 'many', but it must be float"):
        instantiate.check(
            {"_target_": f"{here}.Derived", "first": 1, "second": "many"}, "x", allow=[here.split(".")[0]]
        )


PATCHGAN = {"_target_": "limpid.networks.patchgan.PatchGAN", "channels": 4}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"norm": "group"},
            r"discriminator cannot be made with channels=4, norm=group \(norm is 'group', but it must be",
        ),
        ({"channels": 0}, r"with channels=0 \(body.0.weight would have no numbers in it\); change what does not fit\."),
        ({"channels": -1}, r"with channels=-1 \(Trying to create tensor with negative dimension"),
        ({"layers": -1}, r"with channels=4, layers=-1 \(list index out of range\)"),
        ({"weight_std": -1.0}, r"weight_std=-1.0 \(normal expects std >= 0.0"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_what_cannot_be_made_is_told_with_its_settings(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        instantiate.construct(PATCHGAN | settings, "model.discriminator")


class Broken:
    def __init__(self) -> None:
        raise ValueError("a mistake in one's own code")


def test_a_class_of_ones_own_shows_where_it_fails() -> None:
    with pytest.raises(ValueError, match="own code"):
        instantiate.construct({"_target_": f"{__name__}.Broken"}, "model", allow=[__name__.split(".")[0]])
