"""The report: its figures are those of the store, its links lead somewhere, and no name of a user's is markup."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.results.made_store import HOSTILE, make_paper, make_picture, make_report, make_run, make_store

from limpid.commands import report as command
from limpid.errors import UserError
from limpid.results import report
from limpid.results.comparison_panel import panel, write_panel
from limpid.results.paired import Difference
from limpid.results.report import labels, pictures, plots, readme
from limpid.results.report.runs import Picture, RunView
from limpid.results.report.site import check, thinned
from limpid.results.report.tables import caption

VOID = {"meta", "link", "img", "input", "br", "hr", "col"}


class Page(HTMLParser):
    """What a test asks of a page: its elements in order, the text of cells, ids, links and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_paper(folder)
        make_store(folder)
        kept = {
            "row": "mine/table1/ours",
            "status": "done",
            "budget": "mini",
            "seed": 7,
            "data": "elsewhere",
            "overrides": ["data=elsewhere"],
            "narrowed": None,
            "comparable": False,
            "metrics": {"elsewhere": {"psnr": {"mean": 17.5, "n": 9, "protocol": "psnr_y"}}},
            "input": {},
            "provenance": {},
            "path": "runs/gone",
        }
        (folder / "experiments/mine/measured.json").write_text(json.dumps([kept]))
        yield make_report(folder)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {file.name: Page(file.read_text(encoding="utf-8")) for file in site.glob("*.html")}


def page_of(pages: dict[str, Page], place: str) -> Page:
    return next(page for name, page in pages.items() if name.startswith("run-") and f" {place}" in page.text)


# --- what the pages say ---------------------------------------------------------------------------------------------


def test_a_row_has_paper_measured_and_difference(pages):
    rows = pages["paper-mine.html"].rows
    lines = [" | ".join(row) for row in rows]
    # Means of the seeds: 23, 24, 25; mean 24, deviation 1; the paper prints 30.
    assert any(
        "measured not comparable budget mini 3 seeds: 0 , 1 , 2 | made 4 images | 24 ± 1 −6 to paper" in x
        for x in lines
    )
    assert any("paper | made | 30 | 0.9" in line for line in lines)
    assert any("measured comparable budget mini seed 0 | made 4 images | 23 −7 to paper" in line for line in lines)
    assert any("seed 7 (kept) | elsewhere 9 images | 17.5 psnr_y | –" in line for line in lines)
    assert sum("the input as it is" in line for line in lines) == 2, "once for each row, not for each seed"


def test_an_input_that_reads_the_same_is_shown_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    for seed, name in enumerate(("1a2b3c4d", "5e6f7a8b")):
        run = make_run(
            tmp_path / f"runs/mine/table1/ours/mini/seed-{seed}", [20.0], row="mine/table1/ours", fingerprint=name
        )
        file = run.path / "metrics.json"
        results = json.loads(file.read_text())
        results["input"]["made"]["psnr"]["mean"] += seed * 1e-9
        file.write_text(json.dumps(results))
    page = Page((make_report(tmp_path) / "paper-mine.html").read_text(encoding="utf-8"))
    assert sum("the input as it is" in " ".join(row) for row in page.rows) == 1
    assert sum("training" in " ".join(row) for row in page.rows) == 2


def test_the_reason_why_a_row_cannot_run_stands_below(pages):
    page = pages["paper-mine.html"]
    links = [a["href"] for a in page.all("a") if a.get("class") == "badge cannot"]
    assert links == ["#table1-why-1"]
    assert "nobody <b>wrote</b> it" in page.text


def test_the_caption_and_the_contradictions_are_the_papers(pages):
    text = pages["paper-mine.html"].text
    assert "Restoring made-up haze" in text
    assert "One row of a made paper" not in text
    assert "Table 1 prints 30 dB for <script>alert(1)</script> what must be 31." in text
    assert ["1", "2"] in pages["paper-mine.html"].rows
    assert "Not to be shown" not in text
    assert "Nothing." not in text


def test_links_of_the_readme_that_stay_behind_are_text(pages):
    hrefs = [a["href"] for a in pages["paper-mine.html"].all("a")]
    assert "https://example.org/page" in hrefs
    assert not any("notes.md" in href for href in hrefs)
    assert "See the notes and a page" in pages["paper-mine.html"].text


def test_differences_are_paired_by_image(pages):
    # The seeds' means are 21, 23, 25, 27; the other's 20, 21, 22, 29: differences of it -1, -2, -3, 2.
    expected = np.array([-1.0, -2, -3, 2])
    half = 3.182446 * expected.std(ddof=1) / 2  # Student's t for 3 degrees of freedom
    row = next(row for row in pages["paper-mine.html"].rows if row[0] == "another" and len(row) == 5)
    found = [float(cell.replace("−", "-")) for cell in row[1:]]
    assert found == pytest.approx([-1, -1 - half, -1 + half, 4], rel=1e-3)


def test_a_run_shows_its_figures_curves_and_environment(pages):
    page = page_of(pages, "mine/table1/ours/mini/seed-0")
    assert ["made", "PSNR (dB)", "23", "10", "+13", "30", "−7", "4", "psnr_rgb"] in page.rows
    assert ["20", "0.25"] in page.rows, "the points of a curve"
    assert not any(row and row[0] == "30" for row in page.rows), "the line that was cut short is left out"
    assert ["restored", "4", "20", "21.5", "23", "24.5", "26"] in page.rows
    assert ["00", "made", "20", "10"] in page.rows
    assert "limpid train +mine/table1=ours budget=mini" in page.text
    assert "2.13.0" in page.text


def test_a_failure_is_told_with_its_cause(pages):
    page = page_of(pages, "mine/table1/ours/mini/seed-3")
    assert "RuntimeError: <em>out of memory</em>" in page.text
    assert not page.all("em")


def test_pictures_are_taken_apart_and_compared(site, pages):
    page = page_of(pages, "mine/table1/ours/mini/seed-0")
    shown = [image["src"] for image in page.all("img")]
    assert [Path(name).stem.split("-")[-1] for name in shown[:3]] == ["input", "restored", "target"]
    sizes = {Image.open(site / name).size for name in shown}
    assert sizes == {(24, 16)}
    means = [float(np.asarray(Image.open(site / name)).mean()) for name in shown[:3]]
    assert np.diff(means) == pytest.approx([40, 40]), "small pictures are written without loss"
    ranges = [element for element in page.all("input") if element["type"] == "range"]
    assert len(ranges) == 2
    assert all(element["aria-label"] for element in ranges)
    assert "The picture 02.png cannot be read." in page.text


def test_sets_protocols_and_environments_are_listed(pages):
    text = pages["index.html"].text
    assert "Float RGB & nothing else." in text
    assert "elsewhere" in text
    assert "6 runs" in text, "one environment for all"
    assert "javascript" not in text


# --- that the pages are sound ---------------------------------------------------------------------------------------


def test_names_of_users_are_never_markup(site, pages):
    page = page_of(pages, "free/ours-made/abc/mini/seed-0")
    assert HOSTILE in page.text
    for file in site.glob("*.html"):
        assert HOSTILE not in file.read_text(encoding="utf-8")
    assert {len(page.all("script")) for page in pages.values()} == {2}, "only the two of the report itself"
    assert all(re.fullmatch(r"run-\d+-\d+-\w+\.webp", file.name) for file in (site / "images").iterdir())


def test_links_lead_somewhere_and_ids_are_unique(site, pages):
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for tag, attributes in page.elements:
            target = attributes.get("href") if tag in ("a", "use") else attributes.get("src")
            if target is None or target.startswith("https://"):
                continue
            file, _, anchor = target.partition("#")
            assert (site / file).is_file() if file else True, f"{name}: {target}"
            if anchor:
                assert anchor in pages[file or name].ids, f"{name}: {target}"
            assert not re.match(r"\w+:", target), f"{name}: {target}"


def test_nothing_is_loaded_from_elsewhere(site):
    for file in site.glob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""(src|srcset|data|poster)=["']?\s*(https?:)?//""", text)
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text)
        assert re.findall(r"<link [^>]*>", text) == ['<link rel="icon" href="data:,">']


def test_headings_landmarks_and_alternatives(pages):
    for name, page in pages.items():
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        assert levels.count(1) == 1, name
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), name
        assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.elements}
        assert next(iter(page.all("a")))["href"] == "#content"
        assert not page.open, "every element is closed"
        assert all(image["alt"] for image in page.all("img"))
        assert all(drawn["role"] == "img" and drawn["aria-label"] for drawn in page.all("svg"))
        assert page.all("html")[0]["lang"] == "en"


def test_an_empty_store_has_a_useful_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    page = Page((make_report(tmp_path) / "index.html").read_text(encoding="utf-8"))
    assert "There is no run in runs yet." in page.text
    assert "limpid train +rfd/table5=student data=scenes budget=smoke" in page.text
    assert "A Made Paper (2024)" in page.text


# --- where it is written --------------------------------------------------------------------------------------------


def test_a_report_is_replaced_and_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    make_run(tmp_path / "runs/free/a-b/c/mini/seed-0", [1.0, 2.0], seed=0)
    folder = make_report(tmp_path)
    assert (folder / "run-0001.html").is_file()
    (tmp_path / "runs/free/a-b/c/mini/seed-0/config.yaml").unlink()
    make_report(tmp_path)
    assert not (folder / "run-0001.html").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["experiments", "report", "runs"], "nothing is left beside it"
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds a file that no report wrote \(notes\.txt\)"):
        make_report(tmp_path)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("made", ["folder", "file", "here", "around"])
def test_what_is_no_report_is_not_overwritten(tmp_path, monkeypatch, made):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    output = {"here": Path(), "around": Path("..")}.get(made, Path("output"))
    if made == "folder":
        output.mkdir()
        (output / "thesis.tex").write_text("years of work")
    if made == "file":
        output.write_text("years of work")
    with pytest.raises(UserError, match=r"is not a report|is a file|current folder"):
        check(output)


def test_a_failure_leaves_the_older_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    before = (make_report(tmp_path) / "index.html").read_text()
    monkeypatch.setattr(report.site, "_write_pages", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        make_report(tmp_path)
    assert (tmp_path / "report" / "index.html").read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["experiments", "report"]


def test_the_verb_writes_what_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMPID_RUNS", raising=False)
    make_paper(tmp_path)
    make_store(tmp_path)
    assert command.run(["mine", "--output", "out", "--runs", "runs"]) == 0
    assert capsys.readouterr().out.strip() == "out/index.html"
    assert sorted(f.name for f in (tmp_path / "out").glob("*.html") if "run-" not in f.name) == [
        "index.html",
        "paper-mine.html",
    ]
    assert "free/ours-made" not in (tmp_path / "out/index.html").read_text(), "only what was asked for"
    with pytest.raises(UserError, match="There is no run store away"):
        command.run(["mine", "--runs", "away"])
    with pytest.raises(UserError, match="did you mean 'mine'"):
        command.run(["mime"])


# --- the parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_a_picture_is_taken_apart_by_what_it_says_of_itself(tmp_path, columns):
    make_picture(tmp_path / "a.png", columns, size=(24, 16))
    found = pictures.write(Picture(tmp_path / "a.png", "made", "a", {}), tmp_path, "x")
    assert [part.what for part in found.parts] == ["input", "restored", "target"][:columns]
    assert [part.what for part in found.maps] == ["transmission"][: columns - 3]
    whole = np.asarray(Image.open(tmp_path / "a.png"))
    last = np.asarray(Image.open(tmp_path / [*found.parts, *found.maps][-1].href).convert("RGB"))
    np.testing.assert_array_equal(last, whole[:, -24:])


def test_a_picture_that_says_nothing_of_itself_is_not_guessed_at(tmp_path):
    Image.new("RGB", (48, 16), "grey").save(tmp_path / "a.png")
    found = pictures.write(Picture(tmp_path / "a.png", "made", "a", {}), tmp_path, "x")
    assert found.problem == "The picture a.png does not say what its columns are."


def test_pictures_of_validations_are_not_those_of_tests(tmp_path):
    run = make_run(tmp_path / "run", [20.0])
    for place in ("made/00", "val/made/00", "val-best/made/00", "made/deeper/01"):
        make_picture(run.path / "images" / f"{place}.png")
    assert [(p.set, p.name) for p in RunView(run, "a", "a.html").pictures()] == [("made", "00"), ("made", "deeper/01")]


def test_large_pictures_are_made_smaller(tmp_path):
    grey = np.full((500, 2000, 3), 0.5)
    write_panel(tmp_path / "a.png", panel({"input": grey, "restored": grey, "target": grey}))
    found = pictures.write(Picture(tmp_path / "a.png", "made", "a", {}), tmp_path, "x")
    assert (found.width, found.height) == (960, 240)
    assert Image.open(tmp_path / found.parts[0].href).size == (960, 240)


def test_plots_take_their_colours_from_the_page():
    drawn = plots.Plots()
    svgs = [
        drawn.curve([(1, 2.0), (2, math.nan), (3, 1.0)], "loss"),
        drawn.strips({"a $x$ <b>": [1.0, 2.0, 4.0], "沙尘": [3.0], "none": [math.inf]}, "PSNR (dB)"),
        drawn.intervals({"a": Difference(1.0, 0.5, 1.5, 9), "b": Difference(1.0, -math.inf, math.inf, 1)}, "PSNR"),
    ]
    whole = "".join(svgs)
    assert not re.search(r"#[0-9a-f]{6}\b", whole), "no colour is fixed"
    assert "var(--series)" in whole
    assert "<style" not in whole
    assert "a $x$ &lt;b&gt;" in svgs[1]
    ids = re.findall(r' id="([^"]+)"', whole)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", whole)) <= set(ids)
    assert all(svg.count("<svg") == 1 and 'role="img"' in svg for svg in svgs)


def test_quartiles_are_numpys():
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, math.inf]
    assert plots.quartiles(values) == pytest.approx(np.percentile(values[:-1], [0, 25, 50, 75, 100]))
    assert plots.quartiles([2.0]) == (2.0,) * 5
    assert plots.quartiles([math.nan]) is None


def test_thinning_keeps_both_ends():
    assert thinned(range(5), 5) == [0, 1, 2, 3, 4]
    assert thinned(range(101), 5) == [0, 25, 50, 75, 100]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (1.5, "+1.5"), (-0.25, "−0.25"), (math.inf, "∞"), (math.nan, ""), (-math.inf, "−∞")],
)
def test_differences_have_a_sign(value, expected):
    assert labels.signed(value) == expected


def test_arrows_say_what_is_better():
    assert labels.arrow("psnr", {"psnr": True}) == "higher"
    assert labels.arrow("niqe", {"niqe": False}) == "lower"
    assert labels.arrow("params_m", {}) == "lower"
    assert labels.arrow("my_metric", {}) == ""


def test_every_paper_has_its_sections():
    assert readme.section("rfd", readme.CONTRADICTIONS)
    assert readme.section("wmcp", readme.CONTRADICTIONS) is None
    assert readme.title("fdr") == "FDR-Net (2020)"
    assert readme.title("no_such_paper") == "no_such_paper"


def test_captions_are_those_of_the_paper():
    assert caption("rfd", "table1") == "Super-resolution teachers, HR 460x620"
    assert caption("uni_removal", "table3") == "No-reference quality on RealBlur-J (real blur)"
    assert caption("aosr", "ablations") == "Not in the paper, which has no ablation"
    assert caption("no_such_paper", "table1") == ""
