"""ReadMinIO, WriteMinIO and their client on the store that HOLDED_TEST_S3 names."""

from __future__ import annotations

import gzip
import json
import threading
from functools import partial

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from conftest import require_variable

import holded_pipeline as hp
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import Slice

ODD_NAMES = [
    "a b", "a+b", "a%20b", "100%", "%2F", "ñandú-日本-🚲", "e\u0301", "é", "q?x=1", "h#x", "a&b=c;d", "'single'",
    '"q"<>', " lead", "tail ", "..x", "b:c*|", "~!@$^(){}[],", "x" * 200,
]  # fmt: skip
QUICK = hp.Retry(2, 0.1, 0.5)


@pytest.fixture
def read(tmp_path):
    """`read(lake, pattern)`: events, rejections and counters of a pipeline that reads the pattern."""

    def run(lake, pattern, **settings):
        kept = {name: tmp_path / f"{name}-{threading.get_ident()}.jsonl" for name in ("passed", "rejected")}
        for path in kept.values():
            path.unlink(missing_ok=True)
        pipeline = beam.Pipeline(runner="FnApiRunner")
        raw = pipeline | hp.ReadMinIO(lake, pattern, **settings)
        _ = raw.passed | beam.Map(event_fields) | "KeepPassed" >> beam.Map(partial(append_line, kept["passed"]))
        _ = (
            raw.rejected
            | beam.Map(rejection_fields)
            | "KeepRejected" >> beam.Map(partial(append_line, kept["rejected"]))
        )
        result = pipeline.run()
        result.wait_until_finish()
        found = result.metrics().query(MetricsFilter().with_namespace("holded_pipeline"))["counters"]
        counters = {each.key.metric.name: each.result for each in found}
        return (*(lines_of(path) for path in kept.values()), counters)

    return run


def event_fields(event):
    return {"id": event.id, "key": event.source.key, "etag": event.source.etag, "line": event.source.line}


def rejection_fields(rejected):
    source = rejected.source
    return {"reason": rejected.reason, "raw": rejected.raw.decode(), "key": source.key, "etag": source.etag}


def append_line(path, value):
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def put(lake, key, body):
    return ObjectStore(lake).write(key, body)


def listed_keys(lake, prefix):
    return [each.key for each in ObjectStore(lake).objects(prefix)]


def samples_in(lake, key, count, seed):
    samples = hp.testing.sample_events(count, seed=seed)
    put(lake, key, hp.testing.sample_lines(samples))
    return [sample.event_id for sample in samples]


def ids(passed):
    return sorted(event["id"] for event in passed)


def test_keys_of_any_characters_are_written_listed_and_read(lake, read):
    expected = {}
    for number, name in enumerate(ODD_NAMES):
        expected[f"odd/{name}"] = samples_in(lake, f"odd/{name}", 3, seed=number)
    assert sorted(listed_keys(lake, "odd/")) == sorted(expected)
    passed, rejected, _ = read(lake, "odd/")
    assert rejected == []
    assert {key: sorted(e["id"] for e in passed if e["key"] == key) for key in expected} == {
        key: sorted(ids) for key, ids in expected.items()
    }


def test_a_backslash_in_a_key_is_kept_if_the_store_keeps_it(lake, read):
    expected = samples_in(lake, "odd/a\\b", 3, seed=1)
    if listed_keys(lake, "odd/") != ["odd/a\\b"]:
        pytest.skip("this store replaces a backslash by a slash")
    passed, _, _ = read(lake, "odd/")
    assert ids(passed) == sorted(expected)


@pytest.mark.parametrize(("prefix", "pattern"), [("odd + %/ñ", "odd + %/ñ"), ("odd?#/", "odd?#/**")])
def test_events_under_an_odd_prefix_are_read_back(lake, read, prefix, pattern):
    expected = samples_in(lake, "raw/a.jsonl", 50, seed=1)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        raw = pipeline | hp.ReadMinIO(lake, "raw/")
        _ = raw.passed | hp.WriteMinIO(lake, prefix)
    passed, _, _ = read(lake, pattern, envelope="event")
    assert ids(passed) == sorted(expected)


def test_folder_markers_are_skipped_but_not_documents_with_a_slash_at_the_end(lake, read):
    put(lake, "raw/empty/", b"")
    expected = samples_in(lake, "raw/full/", 5, seed=1)
    assert [key for key in listed_keys(lake, "raw/") if "empty" in key] == []
    passed, _, counters = read(lake, "raw/")
    assert ids(passed) == sorted(expected)
    assert counters["read.records"] == 5


def test_virtual_hosts_serve_the_same_objects_as_paths(s3, lake, read, loopback_names):
    endpoint = require_variable("HOLDED_TEST_S3_VIRTUAL", "a store with virtual hosts")
    virtual = s3(lake.bucket, at=endpoint, addressing_style="virtual")
    expected = samples_in(virtual, "raw/a b+c%.jsonl", 20, seed=1)
    assert listed_keys(lake, "raw/") == listed_keys(virtual, "raw/") == ["raw/a b+c%.jsonl"]
    passed, _, _ = read(virtual, "raw/")
    assert ids(passed) == sorted(expected)


def test_the_bucket_is_in_the_named_region(lake):
    where = lake.filesystem().call_s3("get_bucket_location", Bucket=lake.bucket)["LocationConstraint"]
    assert (where or "us-east-1") == lake.region


def test_a_wrong_region_is_corrected_by_the_stores_answer(s3, lake):
    require_variable("HOLDED_TEST_S3_REGION", "a store with a region")
    other = s3(lake.bucket, region="ap-south-1", retry=QUICK)
    put(other, "raw/a.jsonl", b"{}")
    assert listed_keys(other, "raw/") == ["raw/a.jsonl"]


def test_a_certificate_is_trusted_by_the_named_ca_bundle(s3, read):
    bucket = "holded-behind-tls"
    endpoint = require_variable("HOLDED_TEST_S3_TLS", "a store with TLS")
    secure = s3(bucket, at=endpoint, verify=require_variable("HOLDED_TEST_S3_CA", "its CA's file"))
    filesystem = secure.filesystem()
    filesystem.mkdir(bucket)
    try:
        expected = samples_in(secure, "raw/a.jsonl", 20, seed=1)
        passed, _, _ = read(secure, "raw/")
        assert ids(passed) == sorted(expected)
    finally:
        filesystem.rm(bucket, recursive=True)


def test_a_certificate_of_an_unknown_ca_is_an_error_at_once(s3):
    endpoint = require_variable("HOLDED_TEST_S3_TLS", "a store with TLS")
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        listed_keys(s3("any-bucket", at=endpoint), "raw/")


def test_https_to_a_port_without_tls_says_so(s3, lake):
    with pytest.raises(hp.ConfigurationError, match="does not speak TLS; use http://"):
        listed_keys(s3(lake.bucket, at=lake.endpoint.replace("http:", "https:"), retry=QUICK), "raw/")


@pytest.mark.parametrize("call", [partial(listed_keys, prefix="raw/"), partial(put, key="raw/a", body=b"{}")])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_key": "nobody"}, "InvalidAccessKeyId; check access_key"),
        ({"secret_key": "hunter2hunter2"}, "SignatureDoesNotMatch; check secret_key"),
    ],
)
def test_wrong_keys_are_an_error_that_shows_neither(s3, lake, call, settings, words):
    with pytest.raises(hp.ConfigurationError, match=words) as error:
        call(s3(lake.bucket, **settings))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("call", [partial(listed_keys, prefix="raw/"), partial(put, key="raw/a", body=b"{}")])
def test_a_missing_bucket_is_an_error(s3, call):
    with pytest.raises(hp.ConfigurationError, match="'no-such-bucket': NoSuchBucket; create the bucket"):
        call(s3("no-such-bucket"))


def test_an_object_uploaded_in_parts_is_read_whole_and_in_slices(lake, read):
    samples = hp.testing.sample_events(15_000, seed=3)
    lines = hp.testing.sample_lines(samples)
    with lake.filesystem().open(f"{lake.bucket}/raw/parts.jsonl", "wb", block_size=5 << 20) as file:
        file.write(lines)
    (listed,) = ObjectStore(lake).objects("raw/")
    assert "-" in listed.etag, "the object was not stored as a multipart upload"
    assert b"".join(ObjectStore(lake).stream(Slice(listed.key, listed.etag, listed.size))) == lines
    for settings in ({}, {"unit_bytes": 1 << 20}):
        passed, _, counters = read(lake, "raw/", **settings)
        assert ids(passed) == sorted(sample.event_id for sample in samples)
        assert counters["read.slices"] > (5 if settings else 0)


def test_a_listing_of_five_thousand_objects_misses_none(lake, read):
    samples = hp.testing.sample_events(5_100, seed=4)
    lake.filesystem().pipe({f"{lake.bucket}/raw/{n:05}.json": sample.line for n, sample in enumerate(samples)})
    assert len(listed_keys(lake, "raw/")) == 5_100
    passed, _, counters = read(lake, "raw/")
    assert ids(passed) == sorted(sample.event_id for sample in samples)
    assert counters["read.slices"] == 5_100


def test_only_current_versions_of_a_versioned_bucket_are_read(lake, read):
    filesystem = lake.filesystem()
    filesystem.call_s3("put_bucket_versioning", Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"})
    samples_in(lake, "raw/a.jsonl", 30, seed=1)
    samples_in(lake, "raw/deleted.jsonl", 30, seed=2)
    filesystem.call_s3("delete_object", Bucket=lake.bucket, Key="raw/deleted.jsonl")
    expected = samples_in(lake, "raw/a.jsonl", 10, seed=3)
    passed, rejected, _ = read(lake, "raw/")
    assert (ids(passed), rejected) == (sorted(expected), [])


def test_a_listed_version_that_was_overwritten_is_not_read(lake):
    lake.filesystem().call_s3(
        "put_bucket_versioning", Bucket=lake.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    put(lake, "raw/a.jsonl", b"{}")
    store = ObjectStore(lake)
    (listed,) = store.objects("raw/")
    put(lake, "raw/a.jsonl", b"[]")
    with pytest.raises(hp.ObjectVanishedError, match="overwritten before it was read"):
        store.read(Slice(listed.key, listed.etag, listed.size))
    store.close()


def test_an_object_overwritten_all_the_time_is_read_at_one_version_or_rejected(lake, read):
    versions = [hp.testing.sample_events(2_000, seed=seed) for seed in (1, 2)]
    bodies = [hp.testing.sample_lines(samples) for samples in versions]
    pairs = zip(bodies, versions, strict=True)
    etags = {put(lake, "raw/a.jsonl", body): {sample.event_id for sample in samples} for body, samples in pairs}
    unchanged = samples_in(lake, "raw/b.jsonl", 10, seed=9)
    outcomes = set()
    stop = threading.Event()
    writer = threading.Thread(target=overwrite, args=(lake, bodies, stop))
    writer.start()
    try:
        for _ in range(8):
            passed, rejected, _ = read(lake, "raw/", on_vanished="reject", unit_bytes=100_000)
            overwritten = [event for event in passed if event["key"] == "raw/a.jsonl"]
            reasons = {each["reason"] for each in rejected}
            assert reasons <= {"object_vanished"}
            for event in overwritten:
                assert event["id"] in etags[event["etag"]]
            if not reasons:
                assert ids(overwritten) == sorted(etags[overwritten[0]["etag"]])
            assert ids(e for e in passed if e["key"] == "raw/b.jsonl") == sorted(unchanged)
            outcomes |= reasons
            if outcomes:
                break
    finally:
        stop.set()
        writer.join()
    assert outcomes == {"object_vanished"}, "nothing was overwritten in time"


def overwrite(lake, bodies, stop):
    """Overwrites an object until `stop` is set, or 600 times."""
    store = ObjectStore(lake)
    for turn in range(600):
        if stop.is_set():
            break
        store.write("raw/a.jsonl", bodies[turn % 2])
    store.close()


def test_a_key_that_the_store_rejects_is_an_error_that_names_it(lake):
    if "minio" not in str(lake.filesystem().call_s3("list_buckets")["ResponseMetadata"]["HTTPHeaders"]).lower():
        pytest.skip("this store accepts keys with empty levels; MinIO does not")
    with pytest.raises(hp.ConfigurationError, match="XMinioInvalidObjectName; MinIO rejects keys with an empty level"):
        put(lake, "raw//a.jsonl", b"{}")


def test_a_compressed_object_is_read(lake, read):
    samples = hp.testing.sample_events(100, seed=5)
    put(lake, "raw/a.jsonl.gz", gzip.compress(hp.testing.sample_lines(samples)))
    passed, _, _ = read(lake, "raw/")
    assert ids(passed) == sorted(sample.event_id for sample in samples)
