"""Each notebook of the examples runs in a real kernel, and a kernel without a pandas that Beam knows gets words."""

from __future__ import annotations

import base64
import functools
import re
import struct
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import holded_pipeline as hp

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "examples" / "notebooks").glob("*.ipynb"))


def run(notebook, *, allow_errors=False):
    """The notebook with the outputs of its cells."""
    NotebookClient(notebook, timeout=150, kernel_name="python3", allow_errors=allow_errors).execute()
    return notebook


@functools.cache
def executed(stem):
    """A notebook of the examples, run once for the tests of its outputs."""
    return run(nbformat.read(next(path for path in NOTEBOOKS if path.stem == stem), as_version=4))


def outputs(notebook, kind):
    return [each for cell in notebook.cells for each in cell.get("outputs", ()) if each.output_type == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_an_error_or_a_warning(path):
    done = executed(path.stem)
    shown = [each["data"] for each in outputs(done, "execute_result")]
    assert any("<table>" in data.get("text/html", "") for data in shown)
    assert not [each["text"] for each in outputs(done, "stream")]


def test_the_pictures_of_quality_are_drawn_and_of_a_size_that_one_can_read():
    done = executed("quality")
    shown = [each["data"]["image/png"] for each in outputs(done, "display_data") if "image/png" in each["data"]]
    pictures = [base64.b64decode(each) for each in shown]
    assert len(pictures) == 2
    for picture in pictures:
        width, height = struct.unpack(">II", picture[16:24])  # of the header of a PNG
        assert picture.startswith(b"\x89PNG\r\n")
        assert 400 <= width <= 1_600
        assert 200 <= height <= 1_200
    *_, counts = outputs(done, "execute_result")
    late, ahead = map(int, re.findall(r"(?:late|ahead) +(\d+)", counts["data"]["text/plain"]))
    assert 0 < ahead < late < 200  # so the second picture has what it says: most are neither


def test_the_replay_of_the_notebook_stores_what_the_schema_was_corrected_for():
    *_, left = outputs(executed("rejections"), "execute_result")
    assert left["data"]["text/plain"] == "[('3', 'schema_violation')]"


README = Path(__file__).parent.parent.parent / "README.md"


def test_the_cells_of_the_readme_run_in_a_kernel_in_their_order():
    """The servers of a stack replace those that it names; a cell before them puts events into the bucket."""
    text = README.read_text(encoding="utf-8")
    cells = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(cells) >= 3
    with hp.local.stack() as stack:
        lake = stack.minio
        lines = hp.testing.sample_lines(hp.testing.sample_events(100, faults=0.05))
        lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", lines)
        real = {
            "http://localhost:9000": lake.endpoint,
            '"minioadmin"': f'"{lake.access_key}"',
            "postgresql://holded@localhost/holded_business": stack.postgres.url,
        }
        for written, instead in real.items():
            assert written in text
            cells = [cell.replace(written, instead) for cell in cells]
        environment = {"PGPASSWORD": stack.postgres.password.reveal(), "MINIO_SECRET_KEY": lake.secret_key.reveal()}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.chdir(README.parent)
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
            run(notebook)
        assert hp.verify_analytics(stack.postgres) == []
        (record,) = hp.runs(stack.postgres)
        assert record.state == "succeeded"


INTERACTIVE = """
import datetime
import holded_pipeline as hp
import apache_beam as beam
from apache_beam.runners.interactive import interactive_beam
from apache_beam.runners.interactive.interactive_runner import InteractiveRunner

p = beam.Pipeline(InteractiveRunner())
event = hp.Event("1", "order", "c", datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC), {"total": 5})
events = p | beam.Create([event])
rows = events | beam.Map(hp.columns_of)
found = interactive_beam.collect(rows)
print(list(found.columns) == list(hp.columns_of(event)), found["id"][0])
"""


def test_beams_interactive_collect_gives_the_columns_of_events():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(INTERACTIVE)])
    printed = "".join(each["text"] for each in outputs(run(notebook), "stream") if each["name"] == "stdout")
    assert printed.endswith("True 1\n")


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
