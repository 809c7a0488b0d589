import re

import numpy as np
import pytest
from PIL import Image

from inv_jax.report import page, strips, style
from inv_jax.report.blocks import Cell, Gallery, Line, Note, Plot, Section, Shot, Strip, Table
from inv_jax.report.chapters import Chapter


def _plot(name):
    def draw(theme):
        figure, (axes,) = style.new_figure(width=2, height=1, theme=theme)
        axes.plot([1, 2])
        return figure

    return Plot(name, f"alt of {name}", "", draw)


def _strip(name):
    gray = np.full((4, 6, 3), 128, np.uint8)
    return Strip(name, "Frame 1", Shot(gray, "truth"), [Shot(gray, "a")], [Shot(gray, "a, error")])


def _gallery(name):
    shots = [Shot(np.full((4, 6, 3), 40 * n, np.uint8), label) for n, label in enumerate("abc")]
    return Gallery(name, "Frame 1", [shots, shots])


@pytest.fixture
def write(make_run, tmp_path):
    """`write(*blocks, title=..., name=...)`: the page's text."""

    def make(*blocks, title="title", name="a"):
        chapter = Chapter("", [Section("section", blocks)], [("Budgets", "it takes runs & more")])
        path = page.write(tmp_path / "out", title, [make_run(name)], [chapter])
        return path.read_text()

    return make


def test_names_are_text_and_never_markup(write):
    table = Table(["<i>h</i>"], [Line("<b>run</b>", [Cell("1 < 2", "<u>")])])
    text = write(table, Note("a & <script>x</script>"), title="<h1>", name='"><img src=x>')
    assert not re.search(r"<(script|b|u|i|h1>h1)>", text)
    assert "&lt;b&gt;run&lt;/b&gt;" in text and "&lt;script&gt;" in text
    assert "&#34;&gt;&lt;img src=x&gt;" in text


def test_the_page_holds_all_it_shows(write):
    text = write(_plot("psnr"), _strip("frame0001"))
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    sources = re.findall(r'(?:src|srcset)="([^"]{0,22})', text)
    assert len(sources) == 2 + 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_every_picture_is_said_in_words(write):
    text = write(_plot("psnr"), _strip("frame0001"), _gallery("layers0001"))
    tags = re.findall(r"<img [^>]*>", text)
    assert len(tags) == 4 + 6 and all(re.search(r'alt="[^"]+"', tag) for tag in tags)


def test_a_plot_has_a_light_and_a_dark_version(write):
    text = write(_plot("psnr"))
    dark, light = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert dark != light and "prefers-color-scheme: dark" in text


def test_what_is_left_out_is_said_with_the_reason(write):
    assert "<li>Budgets: it takes runs &amp; more</li>" in write()


def test_figures_lie_beside_the_page_and_those_of_an_older_report_go(write, tmp_path):
    write(_plot("psnr"), _strip("frame0001"), _gallery("layers0001"))
    out = tmp_path / "out"
    (out / "mine.png").touch()
    names = lambda: {path.name for path in out.glob("*.png")}  # noqa: E731
    assert names() == {"psnr.png", "frame0001.png", "layers0001.png", "mine.png"}
    write(_plot("ssim"))
    assert names() == {"ssim.png", "mine.png"}


def test_large_pictures_are_embedded_smaller_and_small_ones_as_they_are(tmp_path):
    kind, data = strips.encode(np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(data)
    assert kind == "image/png" and Image.open(tmp_path / "a.png").size == (6, 4)
    assert strips.encode(np.zeros((600, 600, 3), np.uint8))[0] == "image/webp"
