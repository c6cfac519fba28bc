"""The notebook of the documentation: it runs from the first cell to the last, and holds no results."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pigeonhole import Run

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
SECONDS = 600  # for one cell


def test_it_holds_no_results():
    notebook = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    """On a part of the digits; nothing but what it prints itself is shown."""
    for source, count in (("training_data", 40), ("testing_data", 10)):
        for digit in "017":
            (tmp_path / source / digit).mkdir(parents=True)
            for picture in sorted((ROOT / source / digit).glob("*.png"))[:count]:
                shutil.copy(picture, tmp_path / source / digit)
    folder = tmp_path / "docs"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    run = Run.load(next((folder / "runs").iterdir()))
    assert run.is_complete and run.report_page.is_file()
    first = notebook.cells[2].outputs
    assert [each["output_type"] for each in first] == ["stream"], "the training itself prints nothing"
    assert [line.partition(" ")[0] for line in first[0]["text"].splitlines()] == [
        f"runs/{run.name}",
        "expect",
    ]
    shown = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    assert sum("image/png" in each.get("data", {}) for each in shown) == 2
    assert "of 30 right" in "".join(each.get("text", "") for each in shown)
