"""API keys and rate limits."""

from __future__ import annotations

import logging

import pytest
from limits import parse

import holded_pipeline as hp
from holded_pipeline.api import ApiKey, Limits, create_app, serve

KEY, OTHER = "a-key-of-24-characters-1", "a-key-of-24-characters-2"
KEYS = {
    "wallet": ApiKey(hp.Secret(KEY), scopes=["collect", "read", "metrics"]),
    "crm": ApiKey(OTHER, scopes=["admin"]),
}


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER}])
def test_each_key_is_accepted(api, headers):
    assert api(keys=KEYS, client="203.0.113.7").post("/collect", json={}, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}, {"X-API-Key": "é"}]
)
@pytest.mark.parametrize("call", [("POST", "/collect"), ("GET", "/events"), ("GET", "/events/x"), ("GET", "/metrics")])
def test_without_a_valid_key_every_call_is_denied(api, nowhere, headers, call):
    raw = {name: value.encode() for name, value in headers.items()}
    answer = api(lake=nowhere, keys=KEYS).request(*call, headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "no_valid_key")


def test_metrics_and_logs_show_names_of_keys_and_never_keys(api, caplog):
    caplog.set_level(logging.DEBUG)
    client = api(keys=KEYS)
    client.post("/collect", json={"private": "a-private-value"}, headers={"X-API-Key": KEY})
    client.post("/collect", json={}, headers={"X-API-Key": "a-wrong-key-of-someone"})
    text = client.get("/metrics", headers={"X-API-Key": OTHER}).text
    assert 'holded_api_events_total{key="wallet",outcome="accepted"} 1.0' in text
    everything = text + caplog.text + repr(vars(client.app.state.service.authenticator))
    assert not [secret for secret in (KEY, OTHER, "a-wrong-key-of-someone", "a-private-value") if secret in everything]


@pytest.mark.parametrize("client", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_without_keys_this_machine_is_answered(api, nowhere, client):
    assert api(lake=nowhere, client=client).get("/metrics").status_code == 200


@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::1", "::2", "testclient", ""])
def test_without_keys_other_machines_are_denied(api, nowhere, client):
    answer = api(lake=nowhere, client=client).post("/collect", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "no_keys_set_up")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_without_keys_proxied_requests_are_denied(api, nowhere, header):
    assert api(lake=nowhere).post("/collect", json={}, headers={header: "203.0.113.7"}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "api.localhost", "api"]
)
def test_without_keys_local_host_names_are_answered(api, nowhere, host):
    assert api(lake=nowhere).get("/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["rebound.example:8000", "rebound.example.", "203.0.113.7", "[2001:db8::1]:8000", "[", "a.b:x"]
)
def test_without_keys_other_host_names_are_denied(api, nowhere, host):
    answer = api(lake=nowhere).get("/events", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "no_keys_set_up")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "203.0.113.7", "example.com"])
def test_without_keys_serve_listens_only_on_loopback(nowhere, host):
    with pytest.raises(ValueError, match="without API keys"):
        serve(create_app(nowhere), host=host)


def test_requests_beyond_the_rate_are_answered_with_429(api, nowhere):
    client = api(lake=nowhere, keys=KEYS, limits=Limits(rate="3/minute"))
    answers = [client.get("/metrics", headers={"X-API-Key": KEY}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 61
    assert client.get("/metrics", headers={"X-API-Key": OTHER}).status_code == 200


@pytest.mark.parametrize("rate", ["2/hour;1000/second", "1000/second;2/hour", "1000/second, 2 per hour"])
def test_each_of_several_rates_applies(api, nowhere, rate):
    client = api(lake=nowhere, keys=KEYS, limits=Limits(rate=rate))
    answers = [client.get("/metrics", headers={"X-API-Key": KEY}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "more than 2 requests in 3600 s" in answers[-1].json()["detail"]


def test_a_request_denied_by_one_rate_does_not_count_for_the_others(api, nowhere):
    client = api(lake=nowhere, keys=KEYS, limits=Limits(rate="1/minute;3/hour"))
    for _ in range(10):
        client.get("/metrics", headers={"X-API-Key": KEY})
    hourly = parse("3/hour")
    assert client.app.state.service.authenticator._rates._local.get_window_stats(hourly, "key wallet").remaining == 2


def test_requests_with_wrong_keys_have_a_rate_of_their_own(api, nowhere):
    client = api(lake=nowhere, keys=KEYS, limits=Limits(wrong_keys="2/minute"))
    tried = [client.get("/metrics", headers={"X-API-Key": "wrong"}).status_code for _ in range(3)]
    assert tried == [401, 401, 429]
    assert client.get("/metrics", headers={"X-API-Key": KEY}).status_code == 200


@pytest.mark.parametrize(
    "keys",
    [{"a": "short"}, {"a": KEY, "b": KEY}, {"a": f"{KEY}\n"}, {"a": f" {KEY}"}, {"a": f"{KEY}é"}, {"a": "\t" * 20}],
)
def test_invalid_keys_raise_value_error(nowhere, keys):
    with pytest.raises(ValueError, match="API key"):
        create_app(nowhere, keys=keys)


@pytest.mark.parametrize(
    "settings",
    [{"rate": "often"}, {"rate": "1/second;often"}, {"depth": 100}, {"events": 0}, {"event_bytes": 16 << 20}],
)
def test_invalid_limits_raise_value_error(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Limits(**settings)
