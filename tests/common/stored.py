"""What a run has stored, and whether two runs have stored the same."""

import json
import pathlib

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore

_MEASURED = ("seconds", "_per_second", "_bytes")  # ends of names of what no two runs share


def journal(workdir: pathlib.Path) -> list[dict]:
    """The rows of a run."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def rows_of(workdir: pathlib.Path) -> list[dict]:
    """The rows of a run, without what no two runs share."""
    rows = journal(workdir)
    return [{k: v for k, v in row.items() if not k.endswith(_MEASURED)} for row in rows]


def images_of(workdir: pathlib.Path) -> dict[str, bytes]:
    """The pictures that a run has written, by path."""
    paths = sorted(workdir.glob("nerf_esti/**/*.png"))
    return {str(path.relative_to(workdir)): path.read_bytes() for path in paths}


def bits_of(workdir: pathlib.Path) -> dict[tuple[int, str], bytes]:
    """The params of all segments, and what is stored beside the newest: moments, memory."""
    store = FrameStore(workdir)
    newest = store.numbers()[-1]
    found = {
        (number, path): leaf.tobytes()
        for number in store.numbers()
        for path, leaf in params_lib.flatten(store.params(number, carried=number == newest)).items()
    }
    beside = store.optimizer(newest).items()
    return found | {(newest, f"optimizer/{path}"): leaf.tobytes() for path, leaf in beside}


def assert_same_run(found: pathlib.Path, expected: pathlib.Path) -> None:
    """The same bits, rows and pictures, and nothing left over."""
    assert bits_of(found) == bits_of(expected)
    assert rows_of(found) == rows_of(expected)
    assert images_of(found) == images_of(expected)
    names = [path.name for path in (found / "frames").iterdir()]
    assert sorted(names) == [f"{number:06d}" for number in FrameStore(found).numbers()]
    assert not list((found / "partial").iterdir())
    assert not list(found.rglob("*.tmp"))
