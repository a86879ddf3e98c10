"""Fingerprints outlive renamed classes and settings."""

from __future__ import annotations

from limpid.data import datasets
from limpid.data.datasets import splits, synthetic
from limpid.store.fingerprint import FORMER_NAMES, affecting, registry_name


def test_a_renamed_class_keeps_the_name_that_fingerprints_know() -> None:
    assert registry_name("limpid.data.datasets.PairedByName") == "Pairs"
    assert registry_name("limpid.data.datasets.splits.Subset") == "Part"
    assert registry_name("torch.utils.data.Subset") == "torch.Subset", "a class of others has its own name"


def test_every_name_that_was_changed_is_that_of_a_class() -> None:
    for name in FORMER_NAMES:
        assert any(hasattr(module, name) for module in (datasets, splits, synthetic)), name


def test_where_a_set_lies_and_how_to_get_it_changes_no_fingerprint() -> None:
    card = {"_target_": "limpid.data.datasets.PairedByName", "name": "gopro", "input": "blur"}
    now = card | {"root": "/data", "roots": ["GOPRO"], "how_to_get": "Download it.", "layouts": [{"roots": ["a"]}]}
    before = card | {"root": "/x", "homes": ["GoPro"], "obtain": "Fetch it.", "layouts": [{"homes": ["b"]}]}
    assert of(now) == of(before)
    assert of(now | {"input": "other"}) != of(now)


def of(card: dict[str, object]) -> dict[str, object]:
    return affecting({"data": {"train": card}}, "train", "aod_net")
