"""Checkpoint files: nothing half-written, nothing executed, nothing guessed."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import limpid
from limpid import checkpoint
from limpid.errors import UserError
from limpid.zoo import torch_files


def made(**more: Any) -> dict[str, Any]:
    network = limpid.build("aod_net")
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    plain = {
        "limpid": 1,
        "network": "aod_net",
        "network_config": {"channels": 3, "bias": 1.0},
        "provenance": {},
    }
    return {**plain, "state_dict": state, **more}


def test_a_network_comes_back_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    content = made()
    checkpoint.save(content, file)
    network = checkpoint.network(checkpoint.read(file), file)
    x = torch.rand(1, 3, 16, 16)
    original = limpid.build("aod_net")
    original.load_state_dict(checkpoint.weights(content))
    torch.testing.assert_close(network(x), original(x), rtol=0, atol=0)
    assert not network.training


def test_averaged_and_raw_weights_are_kept_apart(tmp_path: Path) -> None:
    raw = {name: value + 1 for name, value in made()["state_dict"].items()}
    content = made(current_model_state=raw)
    name = "conv1.bias"
    assert torch.equal(checkpoint.weights(content, raw=True)[name], raw[f"network.{name}"])
    assert torch.equal(checkpoint.weights(content)[name], content["state_dict"][f"network.{name}"])


def test_the_one_before_is_kept_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    for step in range(3):
        checkpoint.save(made(provenance={"step": step}), file)
    assert checkpoint.read(file)["provenance"] == {"step": 2}
    assert checkpoint.read(checkpoint.previous(file))["provenance"] == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "last.previous.ckpt"]


def test_a_crash_between_two_renames_leaves_no_litter(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    checkpoint.save(made(provenance={"step": 1}), file)
    os.link(file, checkpoint.previous(file))  # killed when the one before had both names
    checkpoint.save(made(provenance={"step": 2}), file)
    assert checkpoint.read(checkpoint.previous(file))["provenance"] == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "last.previous.ckpt"]


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "last.ckpt"
    checkpoint.save(made(provenance={"step": 1}), file)

    def full(content: object, handle: Any) -> None:
        handle.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left on device.*untouched"):
        checkpoint.save(made(provenance={"step": 2}), file)
    assert checkpoint.read(file)["provenance"] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch executed",))


def test_pickles_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.ckpt"
    torch.save(made(extra=Evil()), file)
    with pytest.raises(UserError, match="holds Python objects"):
        checkpoint.read(file)
    file.write_bytes(pickle.dumps(made(extra=Evil())))
    with pytest.raises(UserError, match="holds Python objects|is not a checkpoint"):
        checkpoint.read(file)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("place", ["network_config", "provenance", "hyper_parameters"])
def test_a_target_inside_is_refused(tmp_path: Path, place: str) -> None:
    file = tmp_path / "a.ckpt"
    torch.save(made(**{place: {"deep": [{"_target_": "os.system"}]}}), file)
    with pytest.raises(UserError, match="_target_"):
        checkpoint.read(file)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_says_so(tmp_path: Path, share: float) -> None:
    file = tmp_path / "a.ckpt"
    checkpoint.save(made(), file)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="cut short or damaged"):
        checkpoint.read(file)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whichever_byte_is_wrong_no_other_error_is_raised(tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    torch.save({"weight": torch.ones(1)}, file, _use_new_zipfile_serialization=False)  # as older releases are
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with contextlib.suppress(UserError):
            torch_files.content(file)


@pytest.mark.parametrize("content", [b"hello", b"a note\n", b"\x80\x02.", b"{}", b"0" * 5000])
def test_bytes_that_are_no_checkpoint_say_so(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.ckpt"
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged|not a checkpoint"):
        checkpoint.read(file)


def test_other_files_and_other_networks_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    with pytest.raises(UserError, match="There is no checkpoint"):
        checkpoint.read(file)
    torch.save({"weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="not a checkpoint of Limpid"):
        checkpoint.read(file)
    torch.save(made(limpid=2), file)
    with pytest.raises(UserError, match="format 2"):
        checkpoint.read(file)
    torch.save(made(network="aod_nett"), file)
    with pytest.raises(UserError, match="did you mean 'aod_net'"):
        checkpoint.network(checkpoint.read(file), file)
    torch.save(made(network_config={"channels": 5}), file)
    with pytest.raises(UserError, match="do not fit"):
        checkpoint.network(checkpoint.read(file), file)


def test_fingerprints_tell_weights_apart_whatever_their_memory_layout() -> None:
    state = {"w": torch.rand(4, 3, 2, 2), "n": torch.tensor(3)}
    other = {"n": state["n"].clone(), "w": state["w"].to(memory_format=torch.channels_last)}
    assert checkpoint.weights_fingerprint(state) == checkpoint.weights_fingerprint(other)
    other["w"] = other["w"] + 1e-6
    assert checkpoint.weights_fingerprint(state) != checkpoint.weights_fingerprint(other)
