"""Files in the place of checkpoints that are none, or none any more: a sentence or exact values, never anything else."""

from __future__ import annotations

import os
import resource
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

import limpid
from limpid import checkpoint
from limpid.errors import Damaged, ResultWarning, UserError
from limpid.zoo import create
from tests.checkpoint_mutations import mutated

#: How many mutated files the suite tries; `make fuzz` tries them for minutes.
COUNT = 56


def content(**more: Any) -> dict[str, Any]:
    """What a checkpoint of AOD-Net holds, with something like Lightning's state."""
    state = {f"network.{name}": value for name, value in limpid.build("aod_net").state_dict().items()}
    plain = {
        "limpid": 1,
        "network": "aod_net",
        "network_config": {"channels": 3, "bias": 1.0},
        "provenance": {"step": 3},
    }
    moments = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {**plain, "state_dict": state, "loops": {"fit_loop": {"a": {"b": 1}}}, "optimizer_states": [moments], **more}


def said_or_made(path: Path, folder: Path) -> None:
    """A file gives a whole sentence or a network, as a checkpoint and as weights to import."""
    for reading in (checkpoint.read, lambda file: create.published("aod_net", file, "x", folder)):
        said = None
        try:
            found: Any = reading(path)
            if isinstance(found, dict):
                checkpoint.network(found, path)
        except UserError as error:
            said = str(error)
        if said is not None:
            assert (said[-1], "\n" in said, len(said) < 1500) == (".", False, True), said


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_give_a_sentence_or_a_network(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    checkpoint.save(content(), file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for (_, path), _ in zip(mutated(file, 0, tmp_path), range(COUNT), strict=False):
        said_or_made(path, tmp_path / "zoo")
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < 500_000 or sys.platform != "linux", "in kilobytes"
    assert not list(tmp_path.rglob("*.part"))


def test_every_bit_counts(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    checkpoint.save(content(), file)
    whole = file.read_bytes()
    state = checkpoint.read(file)["state_dict"]
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            found = checkpoint.read(file)["state_dict"]
        except UserError:
            continue  # else it is a bit that nobody reads, such as one of a date
        assert all(torch.equal(found[name], value) for name, value in state.items()), place


def test_a_whole_file_of_other_values_is_noticed_and_the_one_before_is_named(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    for step in (1, 2, 3):
        checkpoint.save(content(provenance={"step": step}), file, recorded=True)
    assert checkpoint.read(file)["provenance"] == {"step": 3}
    torch.save(content(provenance={"step": 4}), file)
    with pytest.raises(
        Damaged, match=r"its sha256 is not in sha256.json.*or use .*last.previous.ckpt beside it, which"
    ):
        checkpoint.read(file)
    checkpoint.previous(file).write_bytes(b"")
    with pytest.raises(Damaged, match=r"sha256.json\); copy it again\.$"):
        checkpoint.read(file)


def test_a_kill_between_the_note_and_the_move_leaves_a_known_file(tmp_path: Path) -> None:
    file, new = tmp_path / "last.ckpt", tmp_path / "last.ckpt.part"
    checkpoint.save(content(provenance={"step": 1}), file, recorded=True)
    torch.save(content(provenance={"step": 2}), new)
    for _ in range(2):
        checkpoint.record(new, file)  # and then the power is gone, twice
    assert checkpoint.read(file)["provenance"] == {"step": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limpid": "1"}, "its format is '1'"),
        ({"network": 5}, "network is 5, not text"),
        ({"network_config": [1]}, "network_config is a list, not values by name"),
        ({"network_config": {1: 2}}, "network_config has the name 1"),
        ({"network_config": {"channels": torch.ones(1)}}, "network_config.channels is a tensor of torch.float32"),
        ({"state_dict": [1]}, "state_dict is a list, not tensors by name"),
        ({"state_dict": {"network.w": 5}}, "state_dict.network.w is 5, not real numbers"),
        ({"state_dict": {"network.w": torch.ones(1).cfloat()}}, "is a tensor of torch.complex64, not real numbers"),
        ({"state_dict": {5: torch.ones(1)}}, "state_dict has the name 5"),
        ({"state_dict": {"w": torch.ones(1).expand(2**40)}}, "w claims 1,099,511,627,776 values, more than the file"),
        (
            {"optimizer_states": torch.ones(2, 2).to_sparse()},
            "optimizer_states is a sparse, quantized or nested tensor",
        ),
        ({"extra": torch.ones(2, device="meta")}, "extra is a tensor without values"),
        ({"provenance": {"step": "3"}}, "provenance.step is '3', not a whole number"),
        ({"provenance": None}, "it lacks provenance"),
    ],
)
def test_other_types_are_named(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    torch.save(content(**change), file)
    with pytest.raises(Damaged, match=r"is cut short or damaged \(") as raised:
        checkpoint.read(file)
    assert reason in raised.value.reason


def test_settings_that_ask_for_more_than_the_weights_fill_take_no_memory(tmp_path: Path) -> None:
    beyond = "network aod_net.channels is {}, but it must be at most 16384"
    for channels, why in ((2**14, "ask for far more than the weights fill"), (2**20, beyond), (10**12, beyond)):
        file = tmp_path / "a.ckpt"
        torch.save(content(network_config={"channels": channels}), file)
        with pytest.raises(UserError, match=why.format(channels)):
            checkpoint.network(checkpoint.read(file), file)


def test_weights_that_are_no_numbers_are_said_and_not_taken_in(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    made = content()
    made["state_dict"]["network.conv2.bias"][0] = float("nan")
    torch.save(made, file)
    with pytest.warns(ResultWarning, match=r"no finite numbers, state_dict.network.conv2.bias for one"):
        checkpoint.read(file)
    with pytest.raises(Damaged, match="no finite numbers"):
        checkpoint.read(file, refuse_non_finite=True)
    torch.save(checkpoint.weights(made), file)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"The weights for x are not taken in: conv2.bias holds values"):
        create.published("aod_net", file, "x", tmp_path / "zoo")
    assert not (tmp_path / "zoo").exists()


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    cases = {
        tmp_path: "is a folder",
        tmp_path / "nowhere": "is a link that leads nowhere",
        tmp_path / "pipe": "is no file but a device, a pipe or a socket",
        Path("/dev/zero"): "is no file but a device, a pipe or a socket",
        tmp_path / ("x" * 300): "cannot be reached (File name too long)",
        Path("a\0b"): "is no name of a file",
    }
    for path, problem in cases.items():
        with pytest.raises(UserError) as raised:
            checkpoint.read(path)
        assert f"{path} {problem}; give ckpt=PATH" in str(raised.value)
        if path != tmp_path:
            with pytest.raises(UserError) as raised:
                create.published("aod_net", path, "x", tmp_path)
            assert f"The file {path} {problem}; give the path of published weights." in str(raised.value)


def test_a_matlab_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    packing = zlib.compressobj(1)
    packed = b"".join([*(packing.compress(bytes(2**20)) for _ in range(600)), packing.flush()])
    header = b"MATLAB 5.0 MAT-file".ljust(124) + (0x0100).to_bytes(2, "little") + b"IM"
    tag = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    file = tmp_path / "a.mat"
    file.write_bytes(header + tag + packed)
    with pytest.raises(UserError, match="holds more than 536,870,912 bytes, packed"):
        create.published("aod_net", file, "x", tmp_path)
