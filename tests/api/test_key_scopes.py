"""A key does what its scopes, companies and expiry allow, on every route, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

import holded_pipeline as hp
from holded_pipeline.api import ApiKey, Writing, create_app
from holded_pipeline.reading.envelopes import company_ids_of, flat, holded
from holded_pipeline.reading.holded_envelope import CONTEXT, MESSAGE_ID

NEEDS = {
    "/collect": "collect",
    "/events": "read",
    "/events/{event_id}": "read",
    "/metrics": "metrics",
}
OPEN = {"/health", "/ready", "/docs", "/openapi.json"}
NOW = datetime.now(UTC)
SCOPES = ("collect", "read", "metrics", "admin")
KEY_OF = {scope: f"a-key-that-may-{scope}-and-no-more" for scope in SCOPES}
KEYS = {scope: ApiKey(key, scopes=[scope]) for scope, key in KEY_OF.items()}
SENT = json.loads(hp.testing.sample_events(1, seed=5)[0].line)
FLAT = {"event_id": "f-1", "event_type": "order.created", "company_id": "7", "timestamp": 1718031415926}


def paths_and_methods(routes):
    for route in routes:
        if hasattr(route, "methods"):
            yield from ((route.path, method) for method in route.methods)
        else:  # newer versions of FastAPI keep an included router as one route
            yield from paths_and_methods(getattr(route, "original_router", route).routes)


def test_each_route_needs_a_scope_or_is_known_to_be_open(api, nowhere):
    """A new route fails here until it is in one of the two lists."""
    client = api(lake=nowhere, keys=KEYS, writing=Writing(store_seconds=0.2))
    found = set(paths_and_methods(client.app.routes))
    assert {path for path, _ in found} == OPEN | NEEDS.keys()
    for path, method in sorted(found):
        if path in OPEN or method == "HEAD":
            continue
        assert client.request(method, path).status_code == 401
        for scope, key in KEY_OF.items():
            answer = client.request(method, path, headers={"X-API-Key": key})
            is_refused = answer.status_code == 403 and answer.json()["code"] == "missing_scope"
            assert is_refused == (scope not in (NEEDS[path], "admin")), (path, scope, answer.text)
            assert not is_refused or f"{scope!r} lacks the scope {NEEDS[path]!r}" in answer.json()["detail"]


@pytest.mark.parametrize("key", ["a-key-of-24-characters-1", hp.Secret("a-key-of-24-characters-1")])
def test_a_key_without_scopes_may_only_collect(api, key):
    client = api(keys={"old": key})
    headers = {"X-API-Key": "a-key-of-24-characters-1"}
    assert client.post("/collect", json={}, headers=headers).status_code == 202
    assert client.get("/events", headers=headers).json()["code"] == "missing_scope"


def test_a_key_is_refused_from_its_expiry_on(api, nowhere):
    old, new = "an-old-key-of-the-shop-1", "a-new-key-of-the-shop-22"
    for_a_day = ApiKey(new, scopes=["metrics"], expires_at=NOW + timedelta(days=1))
    keys = {"shop": [ApiKey(old, scopes=["metrics"], expires_at=NOW - timedelta(seconds=1)), for_a_day]}
    client = api(lake=nowhere, keys=keys)
    answer = client.get("/metrics", headers={"X-API-Key": old})
    assert (answer.status_code, answer.json()["code"]) == (401, "expired_key")
    text = client.get("/metrics", headers={"X-API-Key": new}).text
    assert 'holded_api_refusals_total{reason="expired_key"} 1.0' in text
    assert for_a_day.is_expired(NOW + timedelta(days=1))
    assert not for_a_day.is_expired(NOW + timedelta(days=1, microseconds=-1))


def of_company(company, document=SENT):
    headers = {**document["headers"], CONTEXT: {**document["headers"][CONTEXT], "accountId": company}}
    del headers[MESSAGE_ID]  # so the API gives each of them an id of its own
    return {**document, "headers": headers}


def test_events_of_other_companies_are_rejected_one_by_one(api, stored, lake):
    client = api(lake=lake, keys={"shop": ApiKey(KEY_OF["collect"], companies=["c1", "7"])})
    mixed = of_company("c1") | {"company_id": "c2"}  # of another company for the envelope `flat`
    twice = of_company("c1") | {"attributes": of_company("c2")["headers"]}
    package = [of_company("c1"), of_company("c2"), FLAT, {**FLAT, "company_id": 8}, {}, of_company(7), mixed, twice]
    answer = client.post("/collect", json=package, headers={"X-API-Key": KEY_OF["collect"]}).json()
    assert [each["index"] for each in answer["accepted"]] == [0, 2, 5, 7]
    assert {each["reason"] for each in answer["rejected"]} == {"foreign_company"}
    assert [each["index"] for each in answer["rejected"]] == [1, 3, 4, 6]
    assert "the company c2, and the API key 'collect'" not in str(answer)
    assert "the event is of the company c2, and the API key 'shop'" in answer["rejected"][0]["message"]
    assert len(stored.lines()) == 4
    with pytest.raises(hp.RejectRecord, match="contradicts"):  # the pipeline does not take the one with two companies
        holded(twice, hp.Source("b", "k", "e", 1))


def test_the_company_of_a_key_is_the_one_that_the_pipeline_reads():
    source = hp.Source("b", "k", "e", 1)
    for sample in hp.testing.sample_events(100, seed=3):
        document = json.loads(sample.line)
        assert company_ids_of(document) == {holded(document, source).company_id}
    assert company_ids_of(FLAT) == {flat(FLAT, source).company_id}
    assert company_ids_of({"event": SENT, "company_id": " "}) == frozenset()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"scopes": ["write"]},
            "there is no scope 'write'; the scopes of an API key are collect, read, metrics, admin",
        ),
        ({"scopes": []}, "needs at least one scope"),
        ({"scopes": "collect"}, "are a list of texts"),
        ({"companies": []}, "companies is empty"),
        ({"companies": "c1"}, "are a list of texts"),
        ({"companies": [7]}, "are texts that are not blank, got 7"),
        ({"companies": ["c1"], "scopes": ["collect", "read"]}, "may have the scope collect alone"),
        ({"expires_at": datetime(2027, 1, 1)}, "with a time zone"),  # noqa: DTZ001  that is the fault
        ({"sha256": "0" * 64}, "and not both"),
        ({"key": None}, "and not both"),
        ({"key": None, "sha256": "0" * 63}, "64 hexadecimal digits"),
    ],
)
def test_a_key_that_cannot_be_meant_raises(settings, words):
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        ApiKey(**{"key": KEY_OF["collect"]} | settings)
    assert KEY_OF["collect"] not in str(raised.value)


@pytest.mark.parametrize("name", ["", " shop", "shop\n", "s" * 65, "loopback"])
def test_a_name_that_would_mislead_raises(nowhere, name):
    with pytest.raises(ValueError, match="API key"):
        create_app(nowhere, keys={name: KEY_OF["collect"]})
