"""What a page is made of: sections of tables, plots, pictures and notes, still without markup."""

import dataclasses
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from inv_jax.report.measured import Picture
from inv_jax.report.style import Theme


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number or a word; `note` stands small beside it."""

    text: str
    note: str = ""
    is_best: bool = False


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a table; `number` is the run's, for its color, or None."""

    label: str
    cells: Sequence[Cell]
    number: int | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under headings; the first heading is that of the labels."""

    headings: Sequence[str]
    lines: Sequence[Line]
    caption: str = ""
    summary: str = ""  # if set, the table is folded under this text
    groups: Sequence[tuple[str, int]] = ()  # above the headings behind the first: text, columns
    kind: str = "table"


@dataclasses.dataclass(frozen=True)
class Plot:
    """A figure, drawn when the colors of the page are known."""

    name: str  # of its file, without suffix
    alt: str  # what is seen, for those who do not see it
    caption: str
    draw: Callable[[Theme], Figure]
    kind: str = "plot"


@dataclasses.dataclass(frozen=True)
class Shot:
    """A picture with what stands under it; `number` is the run's, or None."""

    picture: Picture
    label: str
    note: str = ""
    number: int | None = None


@dataclasses.dataclass(frozen=True)
class Strip:
    """The truth, and under it a picture of every run with its error map."""

    name: str
    title: str
    truth: Shot
    shots: Sequence[Shot]
    errors: Sequence[Shot]  # one for each shot
    kind: str = "strip"


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Rows of pictures."""

    name: str
    title: str
    rows: Sequence[Sequence[Shot]]
    kind: str = "gallery"


@dataclasses.dataclass(frozen=True)
class Note:
    """A line of text, as of why something is not shown."""

    text: str
    kind: str = "note"


Block = Table | Plot | Strip | Gallery | Note


@dataclasses.dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: Sequence[Block]
