"""Exported files give what the network gives: every network of the registry, at sizes that are padded and that are not."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import limpid
from limpid import checkpoint, exporting
from limpid.config.registry import registered
from limpid.errors import CannotRun, UserError
from limpid.exporting import NO_GRAPH, NO_ONNX, Subject, export
from limpid.inference import restore
from limpid.networks.padding import _padded_by_index, pad_to_multiple
from limpid.zoo import files

#: Settings that make a large network quick to export; its kinds of steps stay the same.
SMALL: dict[str, dict[str, Any]] = {
    "rop": {"allow_nonfree": True},
    "rop_plus": {"allow_nonfree": True},
    "ffa_net": {"dim": 16, "blocks": 1, "groups": 2},
    "rfd_student": {"blocks": 1, "groups": 2},
    "srresnet": {"blocks": 1, "channels": 16},
    "drn_s": {"blocks": 1},
    "msbdn": {"channels": 4, "blocks": 1, "level_blocks": 1},
    "msbdn_rdff": {"channels": 4, "blocks": 1, "level_blocks": 1},
    "deep_deblur": {"blocks": 1, "channels": 16},
    "ssid": {"channels": 4, "blocks": [1, 1, 1]},
    "did_mdn": {"side": 16, "stem": 4, "classifier_channels": 2, "hidden": 4},
    "rl_restore_tool": {"channels": 4},
    "zid": {"steps": 1},
    "dncnn": {"depth": 4, "channels": 16},
    "fdr": {"phases": 2, "pm_blocks": 1, "aux_blocks": 1},
    "mprnet": {"channels": 8, "level_step": 4, "orsnet_step": 4, "orsnet_blocks": 1},
    "xydeblur": {"channels": 8, "blocks": 1},
    "aosr": {"channels": 8, "blocks": 1},
    "pix2pix_h": {"channels": 4},
    "cycle_dehaze": {"channels": 4, "blocks": 1, "side": 32},
    "deblurgan": {"channels": 4, "blocks": 1},
    "deblurgan_v2": {"width": 0.0625, "blocks": [1, 1], "pyramid_channels": 8, "head_channels": 4},
    # With instance normalisation, which deblurgan_v2 has, its many normalisations show how onnxruntime rounds: 1.3e-4 at 16x16.
    "deblurgan_v2_mobilenet": {"width": 0.125, "pyramid_channels": 8, "head_channels": 4, "norm": "batch"},
    "derain_cycle_gan": {"channels": 4, "attention_channels": 4, "attention_blocks": 1, "rounds": 2},
    "refinednet": {"channels": 4, "levels": 4, "blocks": 1},
    "epdn": {"channels": 4, "enhancer_channels": 4, "coarse_blocks": 1, "fine_blocks": 1},
    "gfn": {"channels": 4, "widest": 8},
    "pfdn": {"channels": 4, "blocks": 1},
    "dcpdn": {"stem": 8, "growth": 4, "blocks": [1, 1, 1], "decoder": 2},
    "dehazing_4k": {"channels": 4, "guide_channels": 4, "grid": 4, "grid_side": 16, "image_side": 32},
    "op_attention": {"groups": 2, "steps": 1, "head_blocks": 1},
    "srn": {"channels": 8, "blocks": 1},
    "spanet": {"channels": 8, "head_blocks": 1, "rounds": 1, "round_blocks": 1, "tail_blocks": 1},
    "rescan": {"stages": 2, "depth": 4},
    "nlcl": {"channels": 8, "blocks": 1},
    "gca_net": {"channels": 16, "dilations": [2, 1], "gated": [0, 1]},
    "dehaze_flow": {"channels": 4, "growth": 4, "blocks": 1, "kept": [0], "steps": 1, "hidden": 8, "attention": 2},
    "da_net": {"channels": 4},
    "res_unet": {"channels": [4, 4], "blocks": [1, 1]},
    "res_unet_coarse": {"channels": [4, 4], "blocks": [1, 1]},
    "res_unet_veil": {"channels": [4, 4], "blocks": [1, 1]},
    "da_net_translators": {"channels": 4, "blocks": 1},
}
#: Images besides those that an export is compared at: small ones, and long ones of which one side fits.
FURTHER = ((1, 16, 33), (2, 17, 40), (1, 32, 99))


class Halving(nn.Module):
    """The least network that pads: at a quarter of the size the image is averaged, and the details are amplified."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 3, 4, stride=4, groups=3)
        self.up = nn.ConvTranspose2d(3, 3, 4, stride=4, groups=3)

    def forward(self, x: Tensor) -> Tensor:
        padded = pad_to_multiple(x, 4, least=32)
        return x + 0.5 * (padded - self.up(self.down(padded)))[..., : x.shape[-2], : x.shape[-1]]


class SizeBound(nn.Module):
    """Its result depends on a question about the size, which no graph for every size can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.5 if x.shape[-1] % 3 else x * 0.25


def subject(name: str, network: nn.Module | None = None, **config: Any) -> Subject:
    torch.manual_seed(0)
    module = limpid.build(name, **config) if network is None else network
    return Subject(module.eval(), name, config, {"row": "a/b/c", "step": 7})


def assert_parity(exported: Subject, run: Callable[[Tensor], Tensor], tolerance: float) -> None:
    for batch, height, width in FURTHER:
        x = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            torch.testing.assert_close(run(x), restore(exported.network, x), rtol=0, atol=tolerance)


def assert_exports(exported: Subject, folder: Path) -> None:
    """Both graphs are written, which compares them at two sizes, and agree at further ones."""
    forms = ["torch", *([] if exported.name in NO_ONNX else ["onnx"])]
    places = {form: folder / f"n{exporting.SUFFIXES[form]}" for form in forms}
    for written in export(exported, places):
        assert written.difference is not None
        assert written.difference <= 1e-4
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in places.values())
    for form, path in places.items():
        assert_parity(exported, exporting._RUNNERS[form](path), 1e-4)


def test_a_network_that_pads_gives_the_same_at_every_size(tmp_path: Path) -> None:
    assert_exports(subject("halving", Halving()), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(registered()) - set(NO_GRAPH)))
def test_every_network_gives_the_same_as_a_graph(name: str, tmp_path: Path) -> None:
    assert_exports(subject(name, **SMALL.get(name, {})), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NO_GRAPH, *NO_ONNX])
def test_only_what_fails_is_listed_as_failing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = "torch" if name in NO_GRAPH else "onnx"
    method = subject(name, **SMALL.get(name, {}))
    with pytest.raises(CannotRun, match=f"method {name} cannot be exported to {form}: "):
        list(export(method, {form: tmp_path / "x"}))
    monkeypatch.delitem(NO_GRAPH if name in NO_GRAPH else NO_ONNX, name)
    with pytest.raises(UserError):
        list(export(method, {form: tmp_path / f"x{exporting.SUFFIXES[form]}"}))
    assert not list(tmp_path.iterdir())


def test_lists_of_reasons_name_methods_that_exist() -> None:
    assert set(NO_GRAPH) | set(NO_ONNX) <= set(registered())
    assert not set(NO_GRAPH) & set(NO_ONNX)


@pytest.mark.parametrize("least", [0, 32])
@pytest.mark.parametrize("multiple", [4, 16])
def test_padding_by_index_is_padding(multiple: int, least: int) -> None:
    for height in (1, 2, 7, 15, 16, 17, 31, 32, 33):
        for width in (1, 9, 16, 30, 48):
            x = torch.rand(2, 3, height, width)
            assert torch.equal(_padded_by_index(x, multiple, least), pad_to_multiple(x, multiple, least))


def test_a_network_bound_to_a_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="The (network bound cannot be recorded|graph of bound does not run)"):
        list(export(subject("bound", SizeBound()), {"torch": tmp_path / "n.pt2"}))
    assert not list(tmp_path.iterdir())


def test_what_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "n.pt2"
    place.write_bytes(b"before")
    monkeypatch.setitem(exporting._RUNNERS, "torch", lambda path: lambda x: x.sqrt() + 2e-4)
    with pytest.raises(UserError, match="differs from the network by 0.0002 at 61 x 83 pixels, more than tolerance"):
        list(export(subject("gamma", exponent=0.5), {"torch": place}))
    assert place.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [place]
    monkeypatch.setitem(exporting._RUNNERS, "torch", lambda path: lambda x: x * torch.nan)
    with pytest.raises(UserError, match="differs from the network by nan"):
        list(export(subject("gamma"), {"torch": place}))


def test_an_onnx_file_says_what_it_is(tmp_path: Path) -> None:
    import onnx

    exported = subject("gamma", exponent=2.0)
    [written] = export(exported, {"onnx": tmp_path / "n.onnx"}, opset=20)
    model = onnx.load(written.path)
    onnx.checker.check_model(model)
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [20]
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["network"] == "gamma"
    assert json.loads(facts["network_config"]) == {"exponent": 2.0}
    assert facts["weights_sha256"] == checkpoint.weights_fingerprint({})
    assert json.loads(facts["provenance"]) == {"row": "a/b/c", "step": 7}
    assert "[0, 1]" in facts["range"]
    assert "red, green, blue" in facts["layout"]
    [given], [found] = model.graph.input, model.graph.output
    assert (given.name, found.name) == ("input", "restored")
    for value in (given, found):
        sides = value.type.tensor_type.shape.dim
        assert [side.dim_value or side.dim_param for side in sides] == ["batch", 3, "height", "width"]


@pytest.mark.slow
def test_an_opset_that_torch_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="The network gamma cannot be said in"):
        list(export(subject("gamma"), {"onnx": tmp_path / "n.onnx"}, opset=99))
    assert not list(tmp_path.iterdir())


def test_safetensors_are_a_checkpoint_with_a_card(tmp_path: Path) -> None:
    exported = subject("aod_net", bias=0.5)
    [written] = export(exported, {"safetensors": tmp_path / "a|b.safetensors"})
    assert written.difference is None
    loaded = checkpoint.read(written.path)
    assert (loaded["network"], loaded["network_config"]) == ("aod_net", {"bias": 0.5})
    again = checkpoint.network(loaded, written.path)
    x = torch.rand(1, 3, 20, 30)
    assert torch.equal(restore(again, x), restore(exported.network, x))
    card = (tmp_path / "a|b.md").read_text()
    for words in ("| parameters | 1,761 |", "bias=0.5", "| row | a/b/c |", checkpoint.fingerprint(written.path)):
        assert words in card
    assert files.tensors(written.path)[1]["network"] == "aod_net"


def test_weights_are_written_where_no_graph_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Subject) -> None:
        raise CannotRun("no graph")

    monkeypatch.setattr("limpid.exporting.recorded", fails)
    files_written = export(subject("aod_net"), {"torch": tmp_path / "n.pt2", "safetensors": tmp_path / "n.safetensors"})
    assert next(files_written).path == tmp_path / "n.safetensors"
    with pytest.raises(CannotRun, match="no graph"):
        next(files_written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.md", "n.safetensors"]


def test_a_form_of_a_network_may_have_no_graph(tmp_path: Path) -> None:
    why = "The method mscnn cannot be exported to onnx: its official form takes a photograph strip by strip in a loop."
    official = Subject(limpid.build("mscnn", form="official"), "mscnn", {"form": "official"}, {})
    with pytest.raises(CannotRun, match=why):
        list(export(official, {"onnx": tmp_path / "n.onnx"}))


def test_a_file_that_the_system_refuses_is_a_sentence(tmp_path: Path) -> None:
    """Where torch writes the file itself, a full disk ends the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    exported = subject("aod_net")
    for form, suffix in (("torch", ".pt2"), ("safetensors", ".safetensors")):
        place = tmp_path / f"a{suffix}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
        try:
            with pytest.raises(UserError) as refused:
                list(export(exported, {form: place}, check=False))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert str(refused.value) == f"{place} may not grow that large here; raise the limit, or give another place."
    assert not list(tmp_path.iterdir())


def test_a_prior_has_no_weights_to_write(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="The method gamma cannot be exported to safetensors: it has no weights."):
        list(export(subject("gamma"), {"safetensors": tmp_path / "n.safetensors"}))
