"""How the page looks, and what its parts do."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from limpid.errors import UserError
from limpid.serving.gradio_module import gradio
from limpid.serving.offered import by_task
from limpid.serving.page import QUEUE, Page, Result

#: Seconds between two words on how long it has taken.
_TICK = 0.5
_RESTORE = "Restore"

STYLE = """
.gradio-container { max-width: 64rem !important; margin: auto !important; }
footer { display: none !important; }
.method { padding: 0.4rem 0.75rem !important; }
#side .grid-container { grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)) !important; }
#side .grid-wrap { min-height: 0 !important; max-height: none !important; }
:is(input, button, a):focus-visible {
    outline: 2px solid var(--body-text-color) !important; outline-offset: 2px !important;
}
#says { min-height: 1.5rem; }
#says .wrong { color: var(--error-text-color, #b91c1c); font-weight: 600; }
"""


def blocks(page: Page) -> Any:
    """The page itself, as gradio's `Blocks`."""
    gr = gradio()
    with gr.Blocks(title="Limpid", analytics_enabled=False) as built:
        gr.Markdown(
            "# Limpid\nDrop a photograph, choose one or several methods, and slide between before and after. JPEG, "
            f"PNG, TIFF, WebP, AVIF, HEIC, camera RAW and others, up to {page.megapixels:g} megapixels."
        )
        results, asked = gr.State([]), gr.State(None)
        with gr.Row():
            with gr.Column():
                photograph = gr.File(label="Photograph", file_types=_suffixes(), height=150)
                photograph.async_move_resource_to_block_cache = _uploads_alone(photograph)
                preview = gr.Image(label="As it is", visible=False, interactive=False, height=260, buttons=[])
            with gr.Column():
                boxes = _checkboxes(page, gr)
                gr.Markdown("### How much")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength", info="1: all of the change, 0: none")
                button = gr.Button(_RESTORE, variant="primary")
        says = gr.HTML(_status(""), elem_id="says")
        which = gr.Radio([], label="Shown", visible=False)
        slider = gr.ImageSlider(
            label="Before and after", show_label=False, interactive=False, visible=False, max_height=640,
            buttons=["fullscreen"],
        )  # fmt: skip
        download = gr.DownloadButton("Download as PNG", visible=False)
        gallery = gr.Gallery(label="Side by side", visible=False, height="auto", object_fit="contain", elem_id="side")
        shown = [results, which, slider, download, gallery]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        _behave(page, gr, photograph, asked, preview, boxes, strength, button, says, shown, quiet)
    return built.queue(max_size=QUEUE, default_concurrency_limit=1)


def _behave(
    page: Page,
    gr: Any,
    photograph: Any,
    asked: Any,
    preview: Any,
    boxes: list[Any],
    strength: Any,
    button: Any,
    says: Any,
    shown: list[Any],
    quiet: dict[str, Any],
) -> None:
    """Say what happens when a photograph is dropped, the button pressed, and another result chosen."""
    names = [one.name for one in page.offered]

    def seen(path: str | None) -> tuple[object, ...]:
        hidden = gr.update(value=None, visible=False)
        if path is None:
            return hidden, _status("")
        try:
            found = page.preview(path)
        except UserError as error:
            return hidden, _status(str(error), wrong=True)
        return gr.update(value=found.shown, visible=True), _status(found.says)

    def begin(path: str | None) -> tuple[object, ...]:
        return path, gr.update(value="Restoring …", interactive=False), _status("Waiting for its turn …")

    def work(path: str | None, amount: float, *chosen: bool) -> Iterator[tuple[object, ...]]:
        asked = [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]
        for words, done in _ticking(page, path, asked, amount):
            yield (words, *(_results(gr, done) if done else _nothing(gr)))

    def end(path: str | None, restored: str | None) -> tuple[object, ...]:
        return (gr.update(value=_RESTORE, interactive=True), *_unless_changed(gr, path, restored))

    def select(name: str, found: list[Result]) -> tuple[object, ...]:
        one = next((result for result in found if Result(*result).method == name), None)
        if one is None:
            return gr.update(), gr.update()
        result = Result(*one)
        return gr.update(value=result.shown), gr.update(value=result.download)

    which, slider, download = shown[1:4]
    cleared = photograph.change(lambda: _nothing(gr), None, shown, queue=False, **quiet)
    cleared.then(seen, photograph, [preview, says], **quiet)
    pressed = button.click(begin, photograph, [asked, button, says], queue=False, trigger_mode="once", **quiet)
    worked = pressed.then(work, [photograph, strength, *boxes], [says, *shown], **quiet)
    worked.then(end, [photograph, asked], [button, says, *shown], queue=False, **quiet)
    which.input(select, [which, shown[0]], [slider, download], queue=False, **quiet)


def _ticking(
    page: Page, path: str | None, methods: Sequence[str], strength: float
) -> Iterator[tuple[str, list[Result]]]:
    """What to say while the photograph is restored, and at the end the results; none where it could not be."""
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as executor:
        working = executor.submit(page.restore_each, path, methods, strength)
        while not wait([working], _TICK).done:
            yield _status(f"Restoring, {time.perf_counter() - began:.0f} s …"), []
        try:
            results = working.result()
        except UserError as error:
            yield _status(str(error), wrong=True), []
            return
        except Exception:
            yield _status("This photograph could not be restored, by a mistake of Limpid's own.", wrong=True), []
            raise
    yield _status("\n".join(result.says for result in results)), results


def _unless_changed(gr: Any, path: str | None, restored: str | None) -> tuple[object, ...]:
    """The words and the results as they are, or none of them where another photograph was dropped meanwhile."""
    if path == restored:
        return (gr.update(),) * 6
    words = "This photograph came while another was restored; press Restore for it." if path else ""
    return (_status(words), *_nothing(gr))


def _results(gr: Any, results: list[Result]) -> tuple[object, ...]:
    """The state, the choice, the slider, the download and the gallery that show `results`."""
    first, several = results[0], len(results) > 1
    names = [result.method for result in results]
    pictures = [(first.shown[0], "as it is"), *((result.shown[1], result.method) for result in results)]
    return (
        results,
        gr.update(choices=names, value=first.method, visible=several),
        gr.update(value=first.shown, visible=True),
        gr.update(value=first.download, visible=True),
        gr.update(value=pictures, visible=True),
    )


def _nothing(gr: Any) -> tuple[object, ...]:
    hidden = gr.update(value=None, visible=False)
    return [], gr.update(choices=[], value=None, visible=False), hidden, hidden, hidden


def _checkboxes(page: Page, gr: Any) -> list[Any]:
    """A box for each method, in the order in which they are offered, under a heading for each task."""
    boxes: dict[str, Any] = {}
    for title, offered in by_task(page.offered).items():
        gr.Markdown(f"### {title}")
        with gr.Group():
            for one in offered:
                about = " ".join(filter(None, (one.about, one.limits)))
                chosen = one.name == page.offered[0].name
                boxes[one.name] = gr.Checkbox(chosen, label=one.name, info=about, elem_classes="method")
    return [boxes[one.name] for one in page.offered]


def _status(words: str, wrong: bool = False) -> str:
    """A line that screen readers read out when it changes; `words` are escaped."""
    lines = "<br>".join(html.escape(line) for line in words.splitlines())
    kind, role = ("wrong", "alert") if wrong else ("", "status")
    return f'<div class="{kind}" role="{role}" aria-live="polite">{lines}</div>'


def _uploads_alone(component: Any) -> Any:
    """How `component` takes a file that a request names: gradio's way, but no address, which it would fetch."""
    take = component.async_move_resource_to_block_cache

    async def taken(name: str | None) -> str | None:
        if name is not None and "://" in str(name):
            raise ValueError("An address is no upload; send the photograph itself.")
        found: str | None = await take(name)
        return found

    return taken


def _suffixes() -> list[str]:
    from limpid.data.photo_io import READABLE

    return sorted(READABLE)
