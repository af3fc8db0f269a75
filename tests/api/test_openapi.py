"""The OpenAPI document and docs/how-to/api.md describe what the API does."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core import NotSet
from starlette.testclient import TestClient

import holded_pipeline as hp
from holded_pipeline.api import Limits, Writing, create_app

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "api.md").read_text(encoding="utf-8")
UNDESCRIBED = {404, 405}  # any route may answer these
NOWHERE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
DOCUMENT = create_app(NOWHERE).openapi()
CALLS = [(path, method) for path, calls in DOCUMENT["paths"].items() for method in calls]
schema = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def client(stack):
    made = create_app(stack.new_bucket(), limits=Limits(rate=None), writing=Writing(max_wait=0))
    with TestClient(made, client=("127.0.0.1", 1), raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.filterwarnings("ignore:Skipped test cases:UserWarning")  # it generates no JSON lines; other tests do
@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_generated_request_is_answered_with_500(client, case):
    answer = client.request(
        case.method,
        case.formatted_path,
        params=case.query or None,
        headers={**(case.headers or {}), **({"Content-Type": case.media_type} if case.media_type else {})},
        content=content_of(case),
    )
    assert answer.status_code < 500, answer.text
    described = DOCUMENT["paths"][case.path].get(case.method.lower(), {}).get("responses", {})
    assert answer.status_code in UNDESCRIBED or str(answer.status_code) in described


def content_of(case):
    """The generated body as bytes."""
    if isinstance(case.body, NotSet) or case.body is None:
        return None
    if isinstance(case.body, str | bytes):
        return case.body
    return json.dumps(case.body).encode()


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_each_call_and_each_error_has_an_example(path, method):
    call = DOCUMENT["paths"][path][method]
    assert call["summary"]
    for status, answer in call["responses"].items():
        assert answer["content"], (path, status)
        for kind, content in answer["content"].items():
            assert content.get("examples") or content.get("example"), (path, status, kind)
    if "requestBody" in call:
        assert all(content["examples"] for content in call["requestBody"]["content"].values())


def documented_codes():
    """The codes of the table in docs/how-to/api.md, each with its status."""
    table = PAGE.partition("## Errors")[2].partition("## Limits")[0]
    found = {}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) > 3 and cells[1][:3].isdecimal():
            statuses = [int(status) for status in cells[1].split(",")]
            groups = cells[2].split(";") if len(statuses) > 1 else [cells[2]]
            for status, group in zip(statuses, groups, strict=True):
                found |= dict.fromkeys(re.findall(r"`(\w+)`", group), status)
    return found


def example_codes():
    """The codes of the examples, each with the statuses it stands under."""
    found = {}
    for path, method in CALLS:
        for status, answer in DOCUMENT["paths"][path][method]["responses"].items():
            for code, example in answer["content"].get("application/problem+json", {}).get("examples", {}).items():
                assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))
                found[code] = int(status)
    return found


def source_codes():
    """The codes in the source, each with its status: the arguments of `Problem` and `unavailable`."""
    found = {}
    for path in (ROOT / "holded_pipeline" / "api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            made = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
            values = [each.value for each in node.args if isinstance(each, ast.Constant)] if made else []
            if made == "Problem" and len(values) > 1 and isinstance(values[0], int):
                found[values[1]] = values[0]
            if made == "unavailable":
                found[values[0]] = 503
    return found


def test_documented_codes_are_those_with_an_example():
    assert example_codes() == documented_codes()


def test_each_code_in_the_source_is_documented():
    assert source_codes().items() <= documented_codes().items()
    assert len(source_codes()) > 20


def test_the_paths_are_these():
    assert {path for path, _ in CALLS} == {"/collect", "/events", "/events/{event_id}", "/health", "/ready", "/metrics"}


def test_an_unexpected_error_is_answered_with_its_log_id_only(api, nowhere, caplog, monkeypatch):
    client = api(lake=nowhere)
    monkeypatch.setattr(client.app.state.service.metrics, "text", lambda: 1 / 0)
    answer = client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "ZeroDivisionError" not in answer.text
    assert re.search(r"the id ([0-9a-f]{16}) ", answer.json()["detail"])[1] in caplog.text
