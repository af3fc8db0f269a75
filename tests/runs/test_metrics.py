"""What Prometheus sees of runs: by HTTP, as a file, by a Pushgateway."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

import holded_pipeline as hp
from holded_pipeline.runs.metrics import METRIC_NAMES

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COUNTS = {
    "read.records": 10,
    "read.bytes": 1_000,
    "read.rejected.invalid_json": 2,
    "write.inserted": 5,
    "write.updated": 1,
    "write.duplicates": 2,
    "write_minio.objects": 3,
    "write_minio.bytes": 700,
}
GOOD = hp.RunReport("run-1", "load", "succeeded", BEGAN, 2.5, COUNTS)
BAD = hp.RunReport("run-2", "load", "failed", BEGAN, 1.5, {}, error="TransientError: away")


def samples(text: bytes):
    """The samples of the text format, those of other pipelines' names included."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def value(metrics_or_text, name, **labels):
    text = metrics_or_text if isinstance(metrics_or_text, bytes) else metrics_or_text.text()
    key = (f"holded_pipeline_{name}", *sorted({"pipeline": "load", **labels}.items()))
    return samples(text)[key]


@pytest.fixture
def metrics():
    return hp.RunMetrics("load")


def test_a_run_is_counted(metrics):
    metrics.observe(GOOD)
    metrics.observe(GOOD)
    assert value(metrics, "runs_total", state="succeeded") == 2
    assert value(metrics, "run_seconds_total", state="succeeded") == 5
    assert value(metrics, "records_read_total") == 20
    assert value(metrics, "records_stored_total") == 12
    assert value(metrics, "records_duplicate_total") == 4
    assert value(metrics, "records_rejected_total", stage="read", reason="invalid_json") == 4
    assert value(metrics, "read_bytes_total") == 2_000
    assert value(metrics, "objects_written_total", stage="write_minio") == 6
    assert value(metrics, "written_bytes_total", stage="write_minio") == 1_400
    assert value(metrics, "fresh_until_timestamp_seconds") == BEGAN.timestamp()
    assert value(metrics, "unbalanced_runs_total") == 0


def test_a_failed_run_leaves_the_time_of_the_last_success(metrics):
    metrics.observe(GOOD)
    success = value(metrics, "last_success_timestamp_seconds")
    metrics.observe(BAD)
    assert value(metrics, "last_success_timestamp_seconds") == success
    assert value(metrics, "last_run_timestamp_seconds") >= success
    assert value(metrics, "runs_total", state="failed") == 1


def test_before_the_first_success_there_is_no_time_of_one(metrics):
    metrics.observe(BAD)
    assert b"last_success_timestamp_seconds{" not in metrics.text()


def test_a_run_that_lost_a_record_is_not_balanced(metrics):
    metrics.observe(hp.RunReport("run-1", "load", "succeeded", BEGAN, 1.0, COUNTS | {"read.records": 11}))
    assert value(metrics, "unbalanced_runs_total") == 1


def test_a_run_that_its_ledger_found_unbalanced_is_counted_so(metrics):
    error = "UnbalancedError: records of 1 object are not accounted for"
    metrics.observe(hp.RunReport("run-1", "load", "failed", BEGAN, 1.0, {}, error=error))
    metrics.observe(BAD)
    assert value(metrics, "unbalanced_runs_total") == 1


def test_counters_are_there_before_they_count(metrics):
    assert value(metrics, "runs_total", state="failed") == 0
    assert value(metrics, "unbalanced_runs_total") == 0


def test_the_lease_is_looked_at_for_each_scrape(metrics, db):
    lease = hp.Lease(db, "load")
    metrics.observe_lease(lease)
    assert value(metrics, "lease_held") == 0
    with lease:
        assert value(metrics, "lease_held") == 1
    assert value(metrics, "lease_held") == 0


def test_all_names_follow_prometheus_and_are_listed(metrics, db):
    metrics.observe_lease(hp.Lease(db, "load"))
    metrics.observe(GOOD)
    seen = {name for name, *_ in samples(metrics.text()) if not name.endswith("_created")}
    assert seen == METRIC_NAMES


def test_they_are_served_on_this_machine_alone(metrics):
    metrics.observe(GOOD)
    with metrics.serving(0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            assert value(answer.read(), "records_read_total") == 10
        with socket.create_server(("127.0.0.2", port)):  # it does not listen on every address
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30)


def test_a_port_in_use_says_so(metrics):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(hp.ConfigurationError, match="metrics_port"), metrics.serving(port):
            pass


def test_a_file_goes_on_where_the_process_before_ended(tmp_path):
    path = tmp_path / "load.prom"
    hp.RunMetrics("load", textfile=path).observe(GOOD)
    success = value(path.read_bytes(), "last_success_timestamp_seconds")
    hp.RunMetrics("load", textfile=path).observe(BAD)
    text = path.read_bytes()
    assert value(text, "records_read_total") == 10
    assert value(text, "records_rejected_total", stage="read", reason="invalid_json") == 2
    assert value(text, "runs_total", state="succeeded") == 1
    assert value(text, "runs_total", state="failed") == 1
    assert value(text, "last_success_timestamp_seconds") == success
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["load.prom"]


def test_a_file_that_cannot_be_written_does_not_fail_the_run(tmp_path, caplog):
    hp.RunMetrics("load", textfile=tmp_path / "missing" / "load.prom").observe(GOOD)
    assert "could not be published" in caplog.text


def test_they_are_sent_to_a_pushgateway():
    received = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        hp.RunMetrics("load", pushgateway=f"http://127.0.0.1:{server.server_port}").observe(GOOD)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    ((path, text),) = received
    assert path == "/metrics/job/holded_pipeline/pipeline/load"
    assert value(text, "records_read_total") == 10


def test_an_answer_of_a_gateway_that_nobody_can_read_does_not_fail_the_run(caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.sendall(b"\xff\x00 this is no HTTP\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        hp.RunMetrics("load", pushgateway=f"http://127.0.0.1:{server.getsockname()[1]}").observe(GOOD)
        thread.join()
    assert "the metrics of load could not be published" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"holded_pipeline_runs_total{",
        b'holded_pipeline_runs_total{pipeline="load",state="failed"} -1',
        b'holded_pipeline_runs_total{pipeline="load",colour="red"} 1',
        b'holded_pipeline_runs_total{pipeline="load",state="failed"} NaN',
        b'holded_pipeline_read_bytes_total{pipeline="load"} 7\n' * 2,
    ],
)
def test_a_damaged_file_is_set_aside_and_counters_begin_at_0(tmp_path, caplog, content):
    path = tmp_path / "load.prom"
    damaged = b'holded_pipeline_records_read_total{pipeline="load"} 5\n' + content + b"\n"
    path.write_bytes(damaged)
    metrics = hp.RunMetrics("load", textfile=path)
    assert "load.prom are damaged" in caplog.text
    assert (tmp_path / "load.prom.damaged").read_bytes() == damaged
    assert value(metrics, "records_read_total") == 0  # nothing of it is taken over
    metrics.observe(GOOD)
    assert value(path.read_bytes(), "records_read_total") == 10


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(hp.ConfigurationError, match=f"cannot be read from {tmp_path}.*give another one"):
        hp.RunMetrics("load", textfile=tmp_path)


def test_a_port_that_is_none_is_named(metrics):
    with pytest.raises(hp.ConfigurationError, match="cannot be served on 127.0.0.1:99999"), metrics.serving(99_999):
        pass


def test_a_gateway_that_is_away_does_not_fail_the_run(caplog):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hp.RunMetrics("load", pushgateway=f"http://127.0.0.1:{port}").observe(GOOD)
    assert "could not be published" in caplog.text


def test_the_global_registry_is_left_alone(metrics):
    metrics.observe(GOOD)
    assert b"holded_pipeline" not in prometheus_client.generate_latest()


def test_without_prometheus_client_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(hp.ConfigurationError, match=r"pip install '\.\[metrics\]'"):
        hp.RunMetrics("load")
