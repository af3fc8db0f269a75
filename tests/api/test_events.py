"""What is stored is found again."""

from __future__ import annotations

import pytest

from holded_pipeline.api import Limits, Writing


def fill(client, count):
    """So many events, each in a package of its own; their ids and the day."""
    answers = [
        client.post("/collect", content=b'{"n": %d.10}' % n, headers={"Content-Type": "application/json"})
        for n in range(count)
    ]
    ids = [answer.json()["accepted"][0]["event_id"] for answer in answers]
    return ids, answers[0].json()["received_at"]


def walk(client, **parameters):
    """All pages."""
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
    pages = walk(client, limit=limit)
    found = [event["event_id"] for page in pages for event in page["events"]]
    assert len(found) == 7
    assert found == sorted(set(found))
    assert all(len(page["events"]) == limit for page in pages[:-1])


def test_a_page_ends_early_when_its_events_are_large(api):
    client = api(limits=Limits(page_bytes=3_000))
    client.post("/collect", json=[{"n": "x" * 1_000}] * 5)
    assert [len(page["events"]) for page in walk(client)] == [2, 2, 1]


def test_numbers_come_back_as_they_were_sent(api):
    client = api()
    body = b'{"n": 1.10, "m": 1000000000000000000000000000000}'
    answer = client.post("/collect", content=body, headers={"Content-Type": "application/json"})
    event_id = answer.json()["accepted"][0]["event_id"]
    assert body in client.get("/events").content
    assert body in client.get(f"/events/{event_id}").content


def test_days_and_hours_are_kept_apart(api):
    client = api()
    ids, at = fill(client, 2)
    hour = int(at[11:13])
    assert len(client.get("/events", params={"date": at[:10], "hour": hour}).json()["events"]) == 2
    assert client.get("/events", params={"date": at[:10], "hour": (hour + 1) % 24}).json()["events"] == []
    assert client.get("/events", params={"date": "2020-01-01"}).json() == {"events": [], "next_cursor": None}
    assert client.get(f"/events/{ids[0]}", params={"date": at[:10]}).json()["event"] == {"n": 0.1}


def test_an_event_is_there_at_once(api):
    client = api()
    ids, _ = fill(client, 3)
    assert [client.get(f"/events/{event_id}").json()["event"]["n"] for event_id in ids] == [0.1, 1.1, 2.1]


def test_an_older_event_is_found_with_its_day(api):
    ids, at = fill(api(), 3)
    another = api()  # another process, or this one after a new start: it remembers nothing
    answer = another.get(f"/events/{ids[1]}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_recent")
    assert f"date={at[:10]}" in answer.json()["detail"]
    assert another.get(f"/events/{ids[1]}", params={"date": at[:10]}).json()["event"] == {"n": 1.1}
    missing = another.get("/events/nothing", params={"date": at[:10]})
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_event")


def test_only_so_many_recent_events_are_remembered(api):
    client = api(limits=Limits(recent_bytes=500))
    ids, _ = fill(client, 10)
    assert client.app.state.service.recent.bytes <= 500
    assert client.get(f"/events/{ids[0]}").status_code == 404
    assert client.get(f"/events/{ids[-1]}").status_code == 200


def test_what_others_put_beside_is_passed_over(api, lake):
    client = api()
    _, at = fill(client, 1)
    folder = f"{lake.bucket}/raw/date={at[:10]}/hour={at[11:13]}"
    lake.filesystem().pipe(f"{folder}/0-other.jsonl", b'not json\n{"event_id":"broken\n{"n":1}\n')
    lake.filesystem().pipe(f"{folder}/1-other.txt", b'{"event_id":"x"}')
    assert len(client.get("/events").json()["events"]) == 1


@pytest.fixture
def vanishing(lake, monkeypatch):
    """`vanishing(client, number)`: the object of this number is deleted between its listing and its reading."""

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
def test_an_object_that_vanishes_while_a_page_is_read_is_passed_over(api, vanishing, packages, number):
    client = api(writing=Writing(max_wait=0))
    ids, _ = fill(client, packages)
    vanishing(client, number)
    answer = client.get("/events")
    assert answer.status_code == 200
    left = [event_id for at, event_id in enumerate(ids) if at != number]
    assert [event["event_id"] for event in answer.json()["events"]] == left


def test_an_event_whose_object_vanishes_while_it_is_looked_for_is_not_there(api, vanishing):
    client = api(limits=Limits(recent_bytes=0))
    ids, at = fill(client, 1)
    vanishing(client)
    answer = client.get(f"/events/{ids[0]}", params={"date": at[:10]})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_event")


def test_what_was_read_of_an_object_before_it_vanished_is_given(api, lake, monkeypatch):
    client = api()
    client.post("/collect", json=[{"n": 1}, {"n": "x" * 5_000_000}])  # more than is fetched at a time
    store = client.app.state.service.archive._store
    read = store.read

    def then_gone(piece):
        body = read(piece)
        lake.filesystem().rm(f"{lake.bucket}/{piece.key}")
        return body

    monkeypatch.setattr(store, "read", then_gone)
    assert [event["event"] for event in client.get("/events").json()["events"]] == [{"n": 1}]


def test_a_look_that_takes_too_long_says_so(api, lake):
    client = api(limits=Limits(scan_seconds=0.000_001))
    _, at = fill(client, 1)
    answer = client.get("/events/nothing", params={"date": at[:10]})
    assert (answer.status_code, answer.json()["code"]) == (504, "took_too_long")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"cursor": "nonsense"}, "invalid_cursor"),
        ({"cursor": "é"}, "invalid_cursor"),
        ({"cursor": "WzEsMiwzXQ"}, "invalid_cursor"),
        ({"date": "yesterday"}, "invalid_parameter"),
        ({"hour": 24}, "invalid_parameter"),
        ({"limit": 0}, "invalid_parameter"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(api, nowhere, parameters, code):
    answer = api(lake=nowhere).get("/events", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
