"""The notebook, run as a reader would run it."""

import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = pathlib.Path(__file__).parents[2] / "scripts" / "layer_surgery.ipynb"


_STEPS = "warmup_steps=600, steps=150"


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [_STEPS, pytest.param("warmup_steps=60, steps=15", marks=pytest.mark.in_ci)]
)
def test_the_notebook_runs_and_shows_what_its_text_says(monkeypatch, steps):
    # Its kernel is a process of its own: one device, as on a reader's machine.
    monkeypatch.setenv("XLA_FLAGS", "")
    text = NOTEBOOK.read_text()
    assert text.count(_STEPS) == 1
    notebook = nbformat.reads(text.replace(_STEPS, steps), as_version=4)
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in shown)
    assert "color layers equal those of frame 6: {1: False, 2: True" in text
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 6
    assert all(output["output_type"] != "error" for output in shown)


def test_the_stored_outputs_name_no_folder_of_a_machine():
    text = NOTEBOOK.read_text()
    assert "/tmp/" not in text
    assert "/home/" not in text
