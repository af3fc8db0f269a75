"""Many small objects are read by requests signed as botocore signs them; an odd answer is left to botocore."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import botocore.auth
import fsspec.asyn
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.store import client as client_module
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.minio import _parse_timestamp
from holded_pipeline.store.read_plan import Slice
from holded_pipeline.store.signed_gets import SignedGets, Signer

BASES = ("http://localhost:9000/b/", "https://s3.test/", "http://b.s3.test:80/", "https://[::1]:8443/below/b/")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001  botocore wants it naive


def signed_by_botocore(url, etag, lake, moment, monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: moment)
    request = AWSRequest("GET", url, headers={"If-Match": f'"{etag}"'})
    credentials = Credentials(lake.access_key, lake.secret_key.reveal())
    botocore.auth.S3SigV4Auth(credentials, "s3", lake.region).add_auth(request)
    return dict(request.headers.items())


@given(
    st.sampled_from(BASES),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text("0123456789abcdef-", min_size=1, max_size=40),
    MOMENTS,
)
def test_a_request_is_signed_as_botocore_signs_it(base, key, etag, moment):
    lake = hp.MinIO("http://localhost", bucket="b", access_key="me", secret_key="s3cr3t/+", region="eu-west-1")
    url, headers = Signer(lake, base).sign(key, etag, moment.strftime("%Y%m%dT%H%M%SZ"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert headers == signed_by_botocore(url, etag, lake, moment, monkeypatch)


def test_one_signer_signs_on_two_days():
    lake = hp.MinIO("http://localhost", bucket="b", access_key="me", secret_key="secret")
    signer = Signer(lake, BASES[0])
    for moment in (datetime(2030, 12, 31, 23, 59, 59), datetime(2031, 1, 1)):  # noqa: DTZ001  as above
        url, headers = signer.sign("k", "e", moment.strftime("%Y%m%dT%H%M%SZ"))
        with pytest.MonkeyPatch.context() as monkeypatch:
            assert headers == signed_by_botocore(url, "e", lake, moment, monkeypatch)


@pytest.mark.parametrize(
    ("endpoint", "style", "expected"),
    [
        ("http://s3.test:9000", "path", "http://s3.test:9000/my-bucket/k"),
        ("https://s3.test/below", "path", "https://s3.test/below/my-bucket/k"),
        ("https://s3.test", "virtual", "https://my-bucket.s3.test/k"),
    ],
)
def test_an_object_is_asked_for_where_the_client_would_ask(endpoint, style, expected):
    lake = hp.MinIO(endpoint, bucket="my-bucket", access_key="me", secret_key="secret", addressing_style=style)
    filesystem = lake.filesystem()

    async def sign():
        gets = await SignedGets.open(await filesystem.set_session(), lake)
        return gets._signer.sign("k", "e", "20300101T000000Z")[0]

    assert fsspec.asyn.sync(filesystem.loop, sign) == expected


@pytest.fixture
def stored(lake):
    """Slices of 40 objects, and the bytes they have."""
    store = ObjectStore(lake)
    bodies = {f"raw/a b+{number}/%25é~.json": bytes([number]) * (number + 1) for number in range(40)}
    slices = [Slice(key, store.write(key, body), len(body)) for key, body in bodies.items()]
    store.close()
    return slices, list(bodies.values())


@pytest.fixture
def read_by_the_client(monkeypatch):
    """The keys that were read by the client."""
    keys = []
    original = client_module._get_slice

    def get_slice(client, bucket, part):
        keys.append(part.key)
        return original(client, bucket, part)

    monkeypatch.setattr(client_module, "_get_slice", get_slice)
    return keys


def test_many_objects_are_read_without_the_client(lake, stored, read_by_the_client):
    slices, bodies = stored
    assert ObjectStore(lake).read_many(slices) == bodies
    assert read_by_the_client == []


def test_what_vanished_is_told_by_the_client_and_the_others_are_read(lake, stored, read_by_the_client):
    slices, bodies = stored
    lake.filesystem().rm(f"{lake.bucket}/{slices[3].key}")
    lake.filesystem().pipe(f"{lake.bucket}/{slices[5].key}", b"another")
    found = ObjectStore(lake).read_many(slices)
    for number, body in enumerate(bodies):
        if number in (3, 5):
            assert isinstance(found[number], hp.ObjectVanishedError)
            assert slices[number].key in str(found[number])
        else:
            assert found[number] == body
    assert sorted(read_by_the_client) == sorted(slices[number].key for number in (3, 5))


def test_a_part_of_an_object_is_read_by_the_client(lake, stored):
    (first, *_), _ = stored
    part = attrs.evolve(first, start=0, end=1)
    longer = Slice("long", ObjectStore(lake).write("long", b"0123456789"), 10, 2, 5)
    assert ObjectStore(lake).read_many([part, longer]) == [b"\0", b"234"]


def test_a_wrong_setting_is_named_by_a_bulk_read(lake, stored):
    wrong = ObjectStore(attrs.evolve(lake, secret_key="hunter2hunter2"))
    with pytest.raises(hp.ConfigurationError, match="check secret_key") as error:
        wrong.read_many(stored[0])
    assert "hunter2" not in str(error.value)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001  the form says the zone
    st.sampled_from(
        ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.0Z", "%a, %d %b %Y %H:%M:%S GMT"]
    ),
)
def test_a_time_in_an_answer_is_the_one_that_botocore_reads(moment, form):
    text = moment.strftime(form)
    assert _parse_timestamp(text) == parse_timestamp(text)
    assert _parse_timestamp(text).utcoffset() == timedelta(0)
