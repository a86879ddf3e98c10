"""`limpid serve` in a browser: a photograph dropped, restored, compared and downloaded; nothing asked of a network."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import environment

CHROMIUM = os.environ.get("LIMPID_CHROMIUM") or "/usr/bin/chromium"


@pytest.fixture
def server(tmp_path: Path):
    """The address of a page that is served, and its process."""
    pytest.importorskip("gradio", reason="needs gradio: pip install 'limpid[serve]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from limpid.cli import main; main()", "serve", "--port", str(port)]
    (tmp_path / "temporary").mkdir()
    with (tmp_path / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [*command, "--max-megapixels", "1"],
            cwd=tmp_path, env=environment(tmp_path, TMPDIR=str(tmp_path / "temporary")), text=True,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"http://127.0.0.1:{port} "), (tmp_path / "errors.txt").read_text()
        yield line.split()[0], process
        process.kill()
        process.wait()


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"needs Chromium at {CHROMIUM}, or where LIMPID_CHROMIUM says")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser, address: str):
    """The page; and what it asks of other hosts, and its errors."""
    page, others = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else others.append(r.url))
    page.on("pageerror", lambda error: others.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Restore", exact=True).wait_for()
    return page, others


@pytest.mark.slow
def test_a_photograph_is_dropped_restored_and_downloaded(server, browser, tmp_path: Path) -> None:
    address, process = server
    rng = np.random.default_rng(0)
    scene = np.linspace(60, 200, 320)[None, :, None] + rng.normal(0, 12, (240, 320, 3))
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(tmp_path / "my photo.jpg")
    Image.fromarray(np.zeros((1100, 1000, 3), np.uint8)).save(tmp_path / "large.png")
    page, others = opened(browser, address)

    page.set_input_files("input[type=file]", tmp_path / "my photo.jpg")
    page.get_by_text("my photo").first.wait_for()
    page.get_by_label("wmcp").check()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("wmcp, 320 × 240 pixels").wait_for(timeout=120_000)
    page.wait_for_function("[...document.querySelectorAll('img')].filter(i => i.naturalWidth === 320).length >= 2")
    with page.expect_download() as caught:
        page.get_by_text("Download as PNG").click()
    assert caught.value.suggested_filename == "my photo.png"
    caught.value.save_as(tmp_path / "got.png")
    assert Image.open(tmp_path / "got.png").size == (320, 240)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=tmp_path / f"serve-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.get_by_label("dcp").check()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("dcp, 320 × 240 pixels").wait_for(timeout=120_000)
    page.get_by_role("button", name="Restore", exact=True).wait_for()  # it was "Restoring …", and could not be pressed
    page.get_by_role("radio", name="dcp").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as caught:
        page.get_by_text("Download as PNG").click()
    page.get_by_role("checkbox", name="wmcp").uncheck()
    page.get_by_role("checkbox", name="dcp").uncheck()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("No method is chosen yet").wait_for(timeout=60_000)
    page.get_by_role("button", name="Restore", exact=True).wait_for()

    page.reload()
    page.set_input_files("input[type=file]", tmp_path / "large.png")
    page.get_by_text("large").first.wait_for()
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_text("large.png has 1000 × 1100 pixels, more than the 1 megapixels").wait_for(timeout=60_000)
    assert others == []

    page.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert list((tmp_path / "temporary").glob("limpid-serve-*")) == []  # nothing of the photographs is left
