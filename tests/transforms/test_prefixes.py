"""Every argument that is a prefix refuses one that a store may take for another, where it is written."""

from __future__ import annotations

import apache_beam as beam
import pytest

import holded_pipeline as hp
from holded_pipeline.api import create_app

LAKE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")


def settle(prefix):
    receipts = beam.Pipeline(runner="FnApiRunner") | beam.Create([1])
    return hp.SettleRejected(LAKE, prefix, after=receipts)


@pytest.mark.parametrize("prefix", ["a//b/", "c/../d/", "./x/"])
@pytest.mark.parametrize(
    ("take", "name"),
    [
        (lambda prefix: create_app(LAKE, prefix=prefix), "prefix"),
        (lambda prefix: create_app(LAKE, rejected_prefix=prefix), "rejected_prefix"),
        (lambda prefix: hp.ReadMinIO(LAKE, prefix), "pattern"),
        (lambda prefix: hp.WriteMinIO(LAKE, prefix), "prefix"),
        (lambda prefix: hp.WriteRejected(LAKE, prefix), "prefix"),
        (lambda prefix: hp.ReadRejected(LAKE, prefix), "prefix"),
        (settle, "prefix"),
    ],
    ids=["api", "api_rejected", "read", "write", "write_rejected", "read_rejected", "settle"],
)
def test_an_odd_prefix_is_refused_where_it_is_written(take, name, prefix):
    with pytest.raises(ValueError, match=f"^{name} must be text such as 'raw/'"):
        take(prefix)
