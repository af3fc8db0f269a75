"""The audit log: a line for each refusal, never a key, and never too many lines."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from holded_pipeline.api import ApiKey, Limits
from holded_pipeline.api.access.audit import Audit
from holded_pipeline.api.watching.json_logging import process_logging

KEY, OLD, SHOP = "a-key-of-24-characters-1", "a-key-of-24-characters-2", "a-key-of-24-characters-3"
PAST = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "holded_pipeline.audit")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "holded_pipeline.audit"]


def test_each_refusal_has_a_line_and_is_counted(api, lines):
    keys = {
        "all": ApiKey(KEY, scopes=["metrics"]),
        "old": ApiKey(OLD, expires_at=PAST),
        "a shop": ApiKey(SHOP, companies=["c1"]),
    }
    client = api(keys=keys, client="203.0.113.7", limits=Limits(rate="2/hour"))
    client.get("/events/not-for-you", headers={"X-API-Key": "wrong\x7f-and-long-enough"})
    client.post("/collect", json={}, headers={"X-API-Key": OLD})
    client.get("/events", headers={"X-API-Key": SHOP})
    client.post("/collect", json=[{}, {}], headers={"X-API-Key": SHOP})
    client.post("/collect", json={}, headers={"X-API-Key": SHOP})
    assert [line.rpartition(" time=")[0] for line in lines()] == [
        'refused: reason=wrong_key key=- address=203.0.113.7 route="GET /events/{event_id}"',
        'refused: reason=expired_key key="old" address=203.0.113.7 route="POST /collect"',
        'refused: reason=missing_scope key="a shop" address=203.0.113.7 route="GET /events"',
        'refused: reason=foreign_company key="a shop" address=203.0.113.7 route="POST /collect" events=2',
        'refused: reason=rate_exceeded key="a shop" address=203.0.113.7 route="POST /collect"',
    ]
    assert datetime.fromisoformat(lines()[0].rpartition(" time=")[2]).tzinfo is not None
    assert not [secret for secret in (KEY, OLD, SHOP, "not-for-you", "and-long") if secret in str(lines())]
    text = client.get("/metrics", headers={"X-API-Key": KEY}).text
    counted = {line.split('"')[1]: line.split()[-1] for line in text.splitlines() if "refusals_total{" in line}
    assert counted == dict.fromkeys(counted, "1.0")
    assert len(counted) == 5


def test_a_request_from_elsewhere_without_keys_has_a_line(api, nowhere, lines):
    api(lake=nowhere, client='203.0.113.7" forged=1\n').get("/metrics")
    assert 'reason=not_local key=- address=203.0.113.7??forged?1? route="GET /metrics"' in lines()[0]


def test_endless_refusals_write_few_lines_and_are_counted(lines):
    now, counted = [0.0], Counter()
    audit = Audit(lambda reason: counted.update([reason]), clock=lambda: now[0])
    for number in range(5_000):
        audit.refuse("wrong_key", route="GET /events", address="203.0.113.7")
        if number % 10 == 0:
            audit.refuse("expired_key", route="GET /events", address=f"2001:db8::{number}", key="shop")
    assert len(lines()) == 100
    assert sum("203.0.113.7" in line for line in lines()) == 10
    now[0] = 61.0
    audit.refuse("wrong_key", route="GET /events", address="203.0.113.7")
    assert lines()[100:101] == [
        "refused, and left out of this log in the last minute or more: expired_key 410, wrong_key 4,990"
    ]
    assert len(lines()) == 102
    assert counted == {"wrong_key": 5_001, "expired_key": 500}
    assert len(audit._of_address) == 1


def test_changes_of_keys_are_shown_where_nothing_else_is_set_up(capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with process_logging("text", "warning"):
        logging.getLogger("holded_pipeline.audit").info("keys.toml was changed")
    assert "INFO holded_pipeline.audit: keys.toml was changed" in capfd.readouterr().err
