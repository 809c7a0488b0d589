"""The page: one HTML file that holds all it shows, and the figures as files of their own."""

import base64
import functools
import pathlib
from collections.abc import Callable, Iterable, Sequence

import jinja2
import markupsafe

from inv_jax.data import files
from inv_jax.eval import pictures
from inv_jax.report import layers, overview, settings, strips, style
from inv_jax.report.blocks import Gallery, Plot, Section, Strip
from inv_jax.report.chapters import Chapter
from inv_jax.report.runs import Run

NAME = "index.html"

_THEMES = {"light": style.LIGHT, "dark": style.DARK}
Drawn = Callable[[Plot, str], bytes]  # a plot as a PNG, in a theme


def write(
    out: pathlib.Path, title: str, runs: Sequence[Run], written: Sequence[Chapter]
) -> pathlib.Path:
    """Writes the page and its figures; where the page is.

    Args:
      out: Its folder; made if it is missing.
      title: Of the page.
      runs: All of them.
      written: What is said of them, a chapter for each capture.
    """
    differing = overview.differing(runs)
    drawn = functools.cache(_draw)
    text = _template(drawn).render(
        title=title,
        runs=runs,
        differing=differing,
        about=[overview.all_settings(runs), overview.provenance(runs)],
        chapters=written,
        palettes={"light": style.LIGHT.lines, "dark": style.DARK.lines},
    )
    out.mkdir(parents=True, exist_ok=True)
    _write_figures(out, (section for chapter in written for section in chapter.sections), drawn)
    path = out / NAME
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _write_figures(out: pathlib.Path, sections: Iterable[Section], drawn: Drawn) -> None:
    """Writes plots and strips; those that only the report before had are removed."""
    listed, names = out / "cache" / "figures.txt", []
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Plot):
            path = out / f"{block.name}.png"
            with files.replacing(path) as temporary:
                temporary.write_bytes(drawn(block, "light"))
        elif isinstance(block, Strip):
            pictures.write_png(out / f"{block.name}.png", strips.sheet(block))
        elif isinstance(block, Gallery):
            pictures.write_png(out / f"{block.name}.png", layers.sheet(block))
        else:
            continue
        names.append(f"{block.name}.png")
    old = listed.read_text().split() if listed.is_file() else []
    for name in {pathlib.PurePath(name).name for name in old} - set(names):
        (out / name).unlink(missing_ok=True)
    listed.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(listed) as temporary:
        temporary.write_text("\n".join(names))


def _draw(plot: Plot, theme: str) -> bytes:
    return style.png(plot.draw(_THEMES[theme]))


def _template(drawn: Drawn) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("inv_jax.report", ""),
        autoescape=True,  # names of runs, paths and settings are the users'
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plan"] = _plan
    environment.filters["figure"] = lambda plot, theme: _address("image/png", drawn(plot, theme))
    environment.filters["picture"] = lambda shot: _address(*strips.encode(shot.picture))
    return environment.get_template("page.html.jinja")


def _plan(run: Run) -> str:
    """How it was trained, and of a video how it was encoded."""
    return f"{settings.plan(run)}; {settings.codec(run)}" if run.is_video else settings.plan(run)


def _address(kind: str, data: bytes) -> str:
    """Data as an address."""
    return markupsafe.Markup(f"data:{kind};base64,{base64.b64encode(data).decode()}")
