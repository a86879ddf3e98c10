"""Fingerprints outlive renamed classes, and do not depend on where a set lies."""

from __future__ import annotations

import re

import pytest

from limpid.config import instantiate
from limpid.paths import shipped
from limpid.store import fingerprint
from limpid.store.fingerprint import affecting, registry_name


def test_a_renamed_class_keeps_the_name_that_fingerprints_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "FORMER_NAMES", {"Subset": "Part"})
    assert registry_name("limpid.data.datasets.PairedByName") == "PairedByName"
    assert registry_name("limpid.data.datasets.splits.Subset") == "Part"
    assert registry_name("torch.utils.data.Subset") == "torch.Subset", "a class of others has its own name"


def test_where_a_set_lies_and_how_to_get_it_changes_no_fingerprint() -> None:
    card = {"_target_": "limpid.data.datasets.PairedByName", "name": "gopro", "input": "blur"}
    now = card | {"root": "/data", "roots": ["GOPRO"], "how_to_get": "Download it.", "layouts": [{"roots": ["a"]}]}
    other = card | {"root": "/x", "roots": ["GoPro"], "how_to_get": "Fetch it.", "layouts": [{"roots": ["b"]}]}
    assert of(now) == of(other)
    assert of(now | {"input": "other"}) != of(now)


def of(card: dict[str, object]) -> dict[str, object]:
    return affecting({"data": {"train": card}}, "train", "aod_net")


def test_no_two_classes_that_configs_name_share_a_name() -> None:
    modules: dict[str, set[str]] = {}
    for file in (*shipped("conf").rglob("*.yaml"), *shipped("experiments").rglob("*/*/*.yaml")):
        for target in re.findall(r"_target_: ([\w.]+)", file.read_text()):
            made = instantiate.locate(target, "")
            modules.setdefault(registry_name(target), set()).add(f"{made.__module__}.{made.__qualname__}")
    assert len(modules) > 50
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}
