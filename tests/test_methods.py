"""A method by its name: what restores images for predict, serve, videos and `limpid.restore` alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

import limpid
from limpid import checkpoint, zoo
from limpid.errors import UserError
from limpid.inference import Full
from limpid.methods import method


def saved_network(path: Path, name: str = "aod_net") -> Path:
    state = {f"network.{key}": value for key, value in limpid.build(name).state_dict().items()}
    saved = {"limpid": 1, "network": name, "network_config": {}, "provenance": {}, "state_dict": state}
    checkpoint.save(saved, path)
    return path


def test_identities_say_method_weights_and_version(tmp_path: Path) -> None:
    digest = zoo.find("rfd_student_scenes").sha256[:12]
    weights = f"zoo:rfd_student_scenes {digest}"
    assert method("rfd_student").identity == f"Limpid {limpid.__version__}, rfd_student, {weights}"
    named = method("zoo:rfd_student_scenes")
    assert (named.name, named.identity) == (
        "rfd_student_scenes",
        f"Limpid {limpid.__version__}, rfd_student, {weights}",
    )
    assert method("dcp").identity == f"Limpid {limpid.__version__}, dcp"
    path = saved_network(tmp_path / "best.ckpt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    assert method(str(path)).name == "best"
    assert method(str(path)).identity == f"Limpid {limpid.__version__}, aod_net, best.ckpt {digest}"


def test_strength_blends_input_and_result() -> None:
    dcp, x = method("dcp", "cpu"), torch.rand(1, 3, 20, 30)
    whole = dcp.restore(x)
    torch.testing.assert_close(whole, limpid.build("dcp")(x), rtol=0, atol=0)
    assert torch.equal(dcp.restore(x, 0.0), x)
    torch.testing.assert_close(dcp.restore(x, 0.25), x + 0.25 * (whole - x))


def test_results_are_held_to_the_range_and_need_no_gradients() -> None:
    student = method("rfd_student", "cpu", Full())
    x = torch.rand(2, 3, 20, 24, requires_grad=True)
    restored = student.restore(x, 0.5)
    assert (restored.shape, restored.dtype, restored.requires_grad) == (x.shape, torch.float32, False)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert not student.network.training


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("identity", "The model identity has no network of its own"),
        ("ffa_net", "The zoo has no weights for the network ffa_net"),
        ("rfd_studnt", "did you mean 'rfd_student'"),
        ("zoo:nothing", "There are no weights zoo:nothing"),
    ],
)
def test_what_restores_nothing_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        method(name)
    with pytest.raises(UserError, match="no device 'tpu9'"):
        method("dcp", device="tpu9")
