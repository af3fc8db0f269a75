"""Each notebook of the examples runs in a real kernel, and a kernel without a pandas that Beam knows gets words."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "examples" / "notebooks").glob("*.ipynb"))


def run(notebook, *, allow_errors=False):
    """The notebook with the outputs of its cells."""
    NotebookClient(notebook, timeout=150, kernel_name="python3", allow_errors=allow_errors).execute()
    return notebook


def outputs(notebook, kind):
    return [each for cell in notebook.cells for each in cell.get("outputs", ()) if each.output_type == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error_or_a_warning(path):
    done = run(nbformat.read(path, as_version=4))
    shown = [each["data"] for each in outputs(done, "execute_result")]
    assert any("<table>" in data.get("text/html", "") for data in shown)
    assert not [each["text"] for each in outputs(done, "stream")]


def test_the_pictures_of_quality_are_drawn():
    done = run(nbformat.read(next(path for path in NOTEBOOKS if path.stem == "quality"), as_version=4))
    assert sum("image/png" in each["data"] for each in outputs(done, "display_data")) == 2


WITHOUT_PANDAS = """
import sys
sys.modules["pandas"] = None
import holded_pipeline as hp
hp.ReadMinIO(hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s"), "raw/")
"""


def test_without_a_pandas_that_beam_knows_a_transform_says_what_to_install():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WITHOUT_PANDAS)])
    (error,) = outputs(run(notebook, allow_errors=True), "error")
    assert error.ename == "ConfigurationError"
    assert "pip install 'pandas<2.4'" in error.evalue


def test_the_kernel_is_that_of_these_tests():
    cell = nbformat.v4.new_code_cell("import sys; print(sys.prefix)")
    assert outputs(run(nbformat.v4.new_notebook(cells=[cell])), "stream")[0]["text"].strip() == sys.prefix
