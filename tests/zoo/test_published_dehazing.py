"""MSCNN, FAMED-Net and GFN in the files of their publishers: in their formats, made here, and as they were published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from tests.zoo.test_caffe import blob, layer, write
from tests.zoo.test_renames import released
from torch import Tensor

from limpid import checkpoint
from limpid.commands import zoo
from limpid.data.datasets import PairedByName
from limpid.errors import UserError
from limpid.inference import restore
from limpid.metrics import psnr
from limpid.zoo import Card
from limpid.zoo.create import published

#: By network: its publisher's files, and the PSNR of SOTS indoor 1400_1, 1400_2 and 1401_1 restored with them.
FILES: dict[str, tuple[list[str], list[float]]] = {
    "famed_net": (["famed_net_FAMED-Net.caffemodel"], [27.51, 26.44, 30.76]),
    "gfn": (["gfn.caffemodel"], [24.99, 24.75, 23.29]),
    "mscnn": (["mscnn_MSCNNDehazing_CL.mat", "mscnn_MSCNNDehazing_FL.mat"], [18.95, 17.91, 22.96]),
}


def restored(card: Card, x: Tensor) -> Tensor:
    return restore(checkpoint.network(checkpoint.read(card.weights), card.weights), x)


@pytest.mark.parametrize(
    ("network", "settings"), [("gfn", {"channels": 8, "widest": 16}), ("famed_net", {"channels": 8})]
)
def test_a_caffemodel_restores_what_ours_does(network: str, settings: dict[str, int], tmp_path: Path) -> None:
    state, module = released(network)
    layers: dict[str, list[bytes]] = {}
    for name, value in state.items():
        if name.endswith(("running_mean", "running_var")):  # as Caffe holds them: times the number it divides by
            layers.setdefault(name.rpartition(".")[0], []).append(blob(3 * value.numpy()))
        elif not name.endswith("num_batches_tracked"):
            layers.setdefault(name.rpartition(".")[0], []).append(blob(value.numpy()))
    kinds = {name: "BatchNorm" if name.startswith("bn_") else "Convolution" for name in layers}
    for name in layers:
        if name.startswith("bn_"):
            layers[name].append(blob(np.full(1, 3.0)))
    file = write(tmp_path / "net.caffemodel", *(layer(name, kinds[name], *blobs) for name, blobs in layers.items()))
    x = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1))
    card = published(network, file, "imported", tmp_path / "zoo", settings)
    torch.testing.assert_close(restored(card, x), restore(module, x), rtol=1e-5, atol=1e-5)


def test_a_release_in_two_matlab_files_restores_what_ours_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, module = released("mscnn")
    files = []
    for net in ("CL", "FL"):
        layers = [{"type": "relu"} for _ in range(15)]
        for name, value in state.items():
            if name.startswith(f"MSCNNDehazing_{net}/"):
                _, _, number, part = name.rsplit("/", 1)[1].split(".")
                # The last layer is a weighted sum of channels, of one output.
                array = value.numpy()[..., 0] if value.ndim == 4 and number == "15" else value.numpy()
                layers[int(number) - 1] = {**layers[int(number) - 1], "type": "conv", part: array, "stride": 1.0}
        cells = np.empty((1, 15), object)
        cells[0] = layers
        files.append(tmp_path / f"MSCNNDehazing_{net}.mat")
        scipy.io.savemat(files[-1], {"net": {"layers": cells}})
    words = ["import", "mscnn", str(files[0]), "--with", str(files[1]), "--to", str(tmp_path / "zoo")]
    assert zoo.run(words) == 0
    assert "8,435 parameters of mscnn" in capsys.readouterr().out
    content = checkpoint.read(tmp_path / "zoo" / "mscnn_imported.safetensors")
    assert content["network_config"] == {"form": "official"}
    x = torch.rand(1, 3, 41, 52, generator=torch.Generator().manual_seed(1))
    imported = checkpoint.network(content, files[0])
    torch.testing.assert_close(restore(imported, x), restore(module, x), rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match="Two of the files of published weights have one name"):
        published("mscnn", [files[0], files[0]], "x", tmp_path / "zoo")
    with pytest.raises(UserError, match=r"The weights in .*CL\.mat do not fit the network mscnn: it lacks"):
        published("mscnn", files[0], "x", tmp_path / "zoo")
    with pytest.raises(UserError, match=r"There is no file .*none\.mat"):
        published("mscnn", [files[0], tmp_path / "none.mat"], "x", tmp_path / "zoo")


@pytest.mark.parametrize("network", FILES)
def test_the_published_files_dehaze_as_they_did(network: str, real_data: Path, tmp_path: Path) -> None:
    names, expected = FILES[network]
    files = [real_data.parent / "weights" / name for name in names]
    if not all(file.is_file() for file in files):
        pytest.skip(f"needs the publisher's {' and '.join(names)}")
    card = published(network, files, "imported", tmp_path / "zoo")
    pairs = PairedByName(
        name="sots", domain="haze", root=real_data, roots=["RESIDE/SOTS/indoor"], input="hazy", target="gt",
        pair=r"(?P<target>140[01])_[12]", border=10,
    )  # fmt: skip
    found = []
    for match in pairs.matched().pairs:
        if match.key not in ("1400_1", "1400_2", "1401_1"):
            continue
        degraded, target = (torch.from_numpy(image).permute(2, 0, 1)[None] for image in pairs.read(match))
        target = target if target.shape == degraded.shape else target[..., 10:-10, 10:-10]
        found.append(psnr(restored(card, degraded), target).item())
    assert found == pytest.approx(expected, abs=0.02)
