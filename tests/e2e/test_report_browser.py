"""The report in a browser, from file://: keyboard, themes, a phone's width, and not one request to a network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.results.made_store import make_paper, make_report, make_store

CHROMIUM = os.environ.get("LIMPID_CHROMIUM") or "/usr/bin/chromium"
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"needs Chromium at {CHROMIUM}, or where LIMPID_CHROMIUM says")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_paper(folder)
        make_store(folder)
        return make_report(folder)


def opened(browser, site, size="desktop", theme="light", **more):
    """A page of a fresh browser, and what it complained of or asked the network for."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=theme, **more)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else wrong.append(r.url))
    return page, wrong


def run_page(site: Path) -> Path:
    """The page of the run with pictures, curves and scores."""
    return next(f for f in sorted(site.glob("run-*.html")) if "mine/table1/ours/mini/seed-0" in f.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_sound(browser, site, tmp_path, size, theme):
    page, wrong = opened(browser, site, size, theme)
    for file in sorted(site.glob("*.html")):
        page.goto(file.as_uri())
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        broken = page.evaluate(
            """async () => {
                const images = [...document.images];
                await Promise.all(images.map(image => image.decode().catch(() => null)));
                return images.filter(image => !image.naturalWidth).map(image => image.src);
            }"""
        )
        assert not broken
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{file.name} is too wide"
        shot = tmp_path / f"{file.stem}.png"
        page.screenshot(path=shot, full_page=True)
        assert shot.stat().st_size > 5000
    assert not wrong
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c > 200)")
    assert light == (theme == "light")


@pytest.mark.slow
def test_the_slider_moves_by_keyboard(browser, site):
    page, wrong = opened(browser, site)
    page.goto(run_page(site).as_uri())
    figure, slider = page.locator(".compare").first, page.locator(".compare input[type=range]").first
    line = "e => parseFloat(getComputedStyle(e.querySelector('.bar')).left) / e.querySelector('.stage').clientWidth"
    assert figure.evaluate(line) == pytest.approx(0.5, abs=0.01)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "51 % input, the rest restored"
    page.keyboard.press("End")
    assert figure.evaluate(line) == pytest.approx(1, abs=0.01)
    page.keyboard.press("Home")
    assert figure.evaluate(line) == pytest.approx(0, abs=0.01)
    assert not wrong


@pytest.mark.slow
def test_the_slider_follows_the_pointer(browser, site):
    page, _ = opened(browser, site)
    page.goto(run_page(site).as_uri())
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], middle, steps=4)
    page.mouse.up()
    at = page.locator(".bar").first.evaluate("e => parseFloat(getComputedStyle(e).left)")
    assert at / box["width"] == pytest.approx(0.25, abs=0.015), "the line is under the pointer"


@pytest.mark.slow
def test_another_pair_is_chosen_by_keyboard(browser, site):
    page, _ = opened(browser, site)
    page.goto(run_page(site).as_uri())
    figure = page.locator(".compare").first
    figure.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowRight")
    visible = "e => [...e.querySelectorAll('img')].filter(i => getComputedStyle(i).visibility == 'visible').map(i => i.className)"
    assert figure.evaluate(visible) == ["restored", "target"]
    assert figure.locator(".right").text_content() == "target"


@pytest.mark.slow
def test_the_theme_is_chosen_and_kept(browser, site):
    page, wrong = opened(browser, site, theme="light")
    page.goto((site / "index.html").as_uri())
    button = page.locator("button.theme")
    button.press("Enter")
    button.press("Enter")
    assert button.text_content() == "Theme: dark"
    page.goto((site / "paper-mine.html").as_uri())
    assert page.locator("button.theme").text_content() == "Theme: dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 27)"
    assert not wrong


@pytest.mark.slow
def test_the_keyboard_reaches_the_content_first(browser, site):
    page, _ = opened(browser, site)
    page.goto((site / "paper-mine.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


@pytest.mark.slow
def test_wide_tables_scroll_in_their_own_place(browser, site):
    page, _ = opened(browser, site, "phone")
    page.goto((site / "paper-mine.html").as_uri())
    table = page.locator(".scroll").first
    assert table.evaluate("e => e.scrollWidth > e.clientWidth")
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.scroll').scrollLeft > 0")


@pytest.mark.slow
def test_text_has_contrast(browser, site):
    """At least 4.5 to 1 against its background, as WCAG asks for, in both themes."""
    contrast = """() => {
        const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const rgb = colour => {
            canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const luminance = c => {
            const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = e => {
            const own = e ? rgb(getComputedStyle(e).backgroundColor) : [255, 255, 255, 255];
            if (own[3] == 255) return own;
            const under = behind(e.parentElement), a = own[3] / 255;
            return [0, 1, 2].map(i => a * own[i] + (1 - a) * under[i]).concat(255);
        };
        const bad = [];
        for (const e of document.querySelectorAll('main *, header *, footer *')) {
            const text = [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
            if (!text || e.closest('svg') || e.closest('.stage') || !e.offsetParent) continue;
            const [x, y] = [luminance(rgb(getComputedStyle(e).color)), luminance(behind(e))].sort((p, q) => q - p);
            if ((x + 0.05) / (y + 0.05) < 4.5) bad.push(e.outerHTML.slice(0, 80) + (x + 0.05) / (y + 0.05));
        }
        return bad;
    }"""
    for theme in ("light", "dark"):
        page, _ = opened(browser, site, theme=theme)
        for name in ("index.html", "paper-mine.html", run_page(site).name):
            page.goto((site / name).as_uri())
            assert page.evaluate(contrast) == [], f"{name}, {theme}"


@pytest.mark.slow
def test_it_can_be_read_without_a_script(browser, site):
    page, _ = opened(browser, site, java_script_enabled=False)
    page.goto(run_page(site).as_uri())
    assert page.locator(".compare").first.locator("img").evaluate_all("all => all.length") == 3
    boxes = [page.locator(".stage img").nth(i).bounding_box() for i in range(3)]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"], "side by side"
    assert not page.locator("button.theme").is_visible()
