"""RunReport.plot: a figure of the accounts and the rejections."""

from __future__ import annotations

import io
import sys

import pytest

import holded_pipeline as hp

COUNTS = {"read.records": 12, "read.rejected.bad": 2, "write.inserted": 9, "write.duplicates": 1}


def report_of(counts):
    return hp.RunReport("r1", "nightly $x^$", "succeeded", None, 2.0, counts)


@pytest.mark.parametrize("counts", [COUNTS, {}, {f"read.rejected.r{n:05}": n for n in range(10_000)}], ids=range(3))
def test_a_figure_is_drawn(counts):
    figure = report_of(counts).plot()
    figure.savefig(io.BytesIO(), format="svg")
    left, right = figure.axes
    read = counts.get("read.records", 0)
    assert next(bar.get_width() for bar in left.patches) == read
    assert len(right.patches) == min(15, sum(".rejected." in name for name in counts))


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(hp.ConfigurationError, match=r"pip install '\.\[plot\]'"):
        report_of(COUNTS).plot()
