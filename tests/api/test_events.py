"""GET /events and GET /events/{event_id}: stored events are found again."""

from __future__ import annotations

import threading

import pytest

from holded_pipeline.api import Limits, Writing


def fill(client, count):
    """Sends events, each in its own package; returns their ids and the time of receipt."""
    answers = [
        client.post("/collect", content=b'{"n": %d.10}' % n, headers={"Content-Type": "application/json"})
        for n in range(count)
    ]
    ids = [answer.json()["accepted"][0]["event_id"] for answer in answers]
    return ids, answers[0].json()["received_at"]


def all_pages(client, **parameters):
    """Follows next_cursor to the last page."""
    pages = [client.get("/events", params=parameters).json()]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(client.get("/events", params={**parameters, "cursor": cursor}).json())
    return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_cover_every_event_once_and_in_order(api, limit):
    client = api(writing=Writing(max_wait=0))
    for _ in range(2):
        client.post("/collect", json=[{}, {}, {}])
    client.post("/collect", json={})
    pages = all_pages(client, limit=limit)
    found = [event["event_id"] for page in pages for event in page["events"]]
    assert len(found) == 7
    assert found == sorted(set(found))
    assert all(len(page["events"]) == limit for page in pages[:-1])


def test_a_page_ends_early_when_its_events_are_large(api):
    client = api(limits=Limits(page_bytes=3_000))
    client.post("/collect", json=[{"n": "x" * 1_000}] * 5)
    assert [len(page["events"]) for page in all_pages(client)] == [2, 2, 1]


def test_numbers_are_returned_as_they_were_sent(api):
    client = api()
    body = b'{"n": 1.10, "m": 1000000000000000000000000000000}'
    answer = client.post("/collect", content=body, headers={"Content-Type": "application/json"})
    event_id = answer.json()["accepted"][0]["event_id"]
    assert body in client.get("/events").content
    assert body in client.get(f"/events/{event_id}").content


def test_events_are_filtered_by_day_and_hour(api):
    client = api()
    ids, at = fill(client, 2)
    hour = int(at[11:13])
    assert len(client.get("/events", params={"date": at[:10], "hour": hour}).json()["events"]) == 2
    assert client.get("/events", params={"date": at[:10], "hour": (hour + 1) % 24}).json()["events"] == []
    assert client.get("/events", params={"date": "2020-01-01"}).json() == {"events": [], "next_cursor": None}
    assert client.get(f"/events/{ids[0]}", params={"date": at[:10]}).json()["event"] == {"n": 0.1}


def test_a_new_event_is_found_at_once(api):
    client = api()
    ids, _ = fill(client, 3)
    assert [client.get(f"/events/{event_id}").json()["event"]["n"] for event_id in ids] == [0.1, 1.1, 2.1]


def test_an_older_event_is_found_with_its_day(api):
    ids, at = fill(api(), 3)
    another = api()  # like another process, or this one after a restart
    answer = another.get(f"/events/{ids[1]}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_recent")
    assert f"date={at[:10]}" in answer.json()["detail"]
    assert another.get(f"/events/{ids[1]}", params={"date": at[:10]}).json()["event"] == {"n": 1.1}
    missing = another.get("/events/nothing", params={"date": at[:10]})
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_event")


def test_recent_events_have_a_limit_of_bytes(api):
    client = api(limits=Limits(recent_bytes=500))
    ids, _ = fill(client, 10)
    assert client.app.state.service.recent.bytes <= 500
    assert client.get(f"/events/{ids[0]}").status_code == 404
    assert client.get(f"/events/{ids[-1]}").status_code == 200


def test_objects_and_lines_of_other_writers_are_skipped(api, lake):
    client = api()
    _, at = fill(client, 1)
    folder = f"{lake.bucket}/raw/date={at[:10]}/hour={at[11:13]}"
    lake.filesystem().pipe(f"{folder}/0-other.jsonl", b'not json\n{"event_id":"broken\n{"n":1}\n')
    lake.filesystem().pipe(f"{folder}/1-other.txt", b'{"event_id":"x"}')
    assert len(client.get("/events").json()["events"]) == 1


@pytest.fixture
def delete_after_listing(lake, monkeypatch):
    """`delete_after_listing(client, number)`: object `number` is deleted after it was listed."""

    def arrange(client, number=0):
        store = client.app.state.service.archive._store
        listed = store.objects

        def objects(*arguments, **settings):
            found = list(listed(*arguments, **settings))
            lake.filesystem().rm(f"{lake.bucket}/{found[number].key}")
            return iter(found)

        monkeypatch.setattr(store, "objects", objects)

    return arrange


@pytest.mark.parametrize(("packages", "number"), [(1, 0), (2, 0), (2, 1)])
def test_an_object_deleted_while_a_page_is_read_is_skipped(api, delete_after_listing, packages, number):
    client = api(writing=Writing(max_wait=0))
    ids, _ = fill(client, packages)
    delete_after_listing(client, number)
    answer = client.get("/events")
    assert answer.status_code == 200
    left = [event_id for at, event_id in enumerate(ids) if at != number]
    assert [event["event_id"] for event in answer.json()["events"]] == left


def test_an_event_whose_object_is_deleted_meanwhile_is_not_found(api, delete_after_listing):
    client = api(limits=Limits(recent_bytes=0))
    ids, at = fill(client, 1)
    delete_after_listing(client)
    answer = client.get(f"/events/{ids[0]}", params={"date": at[:10]})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_event")


def test_events_read_before_their_object_was_deleted_are_returned(api, lake, monkeypatch):
    client = api()
    client.post("/collect", json=[{"n": 1}, {"n": "x" * 5_000_000}])  # more than is fetched at a time
    store = client.app.state.service.archive._store
    read, deleted = store.read, threading.Event()

    def read_then_delete(part):
        if part.start:  # the rest is asked for once the object is gone
            assert deleted.wait(20)
            return read(part)
        body = read(part)
        lake.filesystem().rm(f"{lake.bucket}/{part.key}")
        deleted.set()
        return body

    monkeypatch.setattr(store, "read", read_then_delete)
    assert [event["event"] for event in client.get("/events").json()["events"]] == [{"n": 1}]


def test_a_search_that_takes_too_long_is_answered_with_504(api, lake):
    client = api(limits=Limits(scan_seconds=0.000_001))
    _, at = fill(client, 1)
    answer = client.get("/events/nothing", params={"date": at[:10]})
    assert (answer.status_code, answer.json()["code"]) == (504, "took_too_long")


NO_DAYS = ["yesterday", "0", "1700000000", "20261124", "2026-1-1", "2026-02-30", "2026-11-24T00:00:00", "0001-01-01"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"cursor": "é"}, "invalid_cursor"),
        ({"cursor": "WzEsMiwzXQ"}, "invalid_cursor"),
        *(({"date": day}, "invalid_parameter") for day in NO_DAYS),
        ({"hour": 24}, "invalid_parameter"),
        ({"limit": 0}, "invalid_parameter"),
    ],
)
def test_invalid_parameters_are_answered_with_400(api, nowhere, parameters, code):
    answer = api(lake=nowhere).get("/events", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
