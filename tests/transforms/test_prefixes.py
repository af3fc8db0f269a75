"""Every prefix argument is validated when it is written: no empty level, no `.` and no `..`."""

from __future__ import annotations

import apache_beam as beam
import pytest

import holded_pipeline as hp
from holded_pipeline.api import create_app

LAKE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")


def settle_rejected(prefix):
    receipts = beam.Pipeline(runner="FnApiRunner") | beam.Create([1])
    return hp.SettleRejected(LAKE, prefix, after=receipts)


@pytest.mark.parametrize("prefix", ["a//b/", "c/../d/", "./x/"])
@pytest.mark.parametrize(
    ("create", "name"),
    [
        (lambda prefix: create_app(LAKE, prefix=prefix), "prefix"),
        (lambda prefix: create_app(LAKE, rejected_prefix=prefix), "rejected_prefix"),
        (lambda prefix: hp.ReadMinIO(LAKE, prefix), "pattern"),
        (lambda prefix: hp.WriteMinIO(LAKE, prefix), "prefix"),
        (lambda prefix: hp.WriteRejected(LAKE, prefix), "prefix"),
        (lambda prefix: hp.ReadRejected(LAKE, prefix), "prefix"),
        (settle_rejected, "prefix"),
    ],
    ids=["api", "api_rejected", "read", "write", "write_rejected", "read_rejected", "settle_rejected"],
)
def test_an_invalid_prefix_raises_when_it_is_written(create, name, prefix):
    with pytest.raises(ValueError, match=f"^{name} must be text such as 'raw/'"):
        create(prefix)
