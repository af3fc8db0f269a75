"""The examples of the API run, and report a wrong argument in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from preloaded import run_script, run_without

from holded_pipeline.local.ports import free_ports

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run_example(name, *arguments, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HOLDED_API_KEY")}
    return run_script(EXAMPLES / name, *arguments, env=clean | env)


def test_each_acknowledged_event_is_in_postgresql_once():
    done = run_example("end_to_end.py", "--events", "300", "--faults", "0.05")
    assert done.returncode == 0, done.stderr
    assert "each acknowledged event accounted for: yes" in done.stdout
    totals = {name.strip(): number for name, number in (line.rsplit(maxsplit=1) for line in done.stdout.splitlines())}
    assert int(totals["acknowledged"]) > 280
    assert int(totals["read by the pipeline"]) == int(totals["acknowledged"]) - int(totals["twice in one package"])


def test_the_check_of_the_end_to_end_example_can_fail(lake, db, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import end_to_end  # noqa: PLC0415  from the examples
    import send_events  # noqa: PLC0415  as above

    import holded_pipeline as hp  # noqa: PLC0415  beside them

    hp.migrate(db)
    report = send_events.Report(acknowledged=["never-stored"])
    assert end_to_end.missing(report, [], db, lake) == ["never-stored was acknowledged and is nowhere"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("collect_api.py", ["--host", "0.0.0.0"], "without API keys the API listens on loopback alone"),
        ("collect_api.py", ["--minio", "http://127.0.0.1:1"], "--minio needs --access-key"),
        ("collect_api.py", ["--key-file", "none.toml"], "there is no key file"),
        ("send_events.py", ["127.0.0.1:8000"], "the URL looks like http://127.0.0.1:8000"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(name, arguments, message):
    done = run_example(name, *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_sending_to_a_stopped_server_is_reported():
    port = free_ports(1)[0]
    done = run_example("send_events.py", f"http://127.0.0.1:{port}", "--events", "5", "--patience", "0.6")
    assert done.returncode == 1
    assert "error: 5 events were not accepted" in done.stderr
    assert "gave up after ConnectionError" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_fastapi_the_error_says_what_to_install():
    script = (
        "import holded_pipeline\n"
        "try:\n    import holded_pipeline.api\n"
        "except ModuleNotFoundError as error:\n    assert \"pip install '.[api]'\" in str(error), error\n"
        "else:\n    raise AssertionError\n"
    )
    done = run_without("fastapi", script)
    assert done.returncode == 0, done.stderr
