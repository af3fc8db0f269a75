"""docker-compose.test.yml: pinned images, health checks, loopback ports only, and no default passwords."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.test.yml"
SERVICES = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def test_it_has_these_servers():
    assert set(SERVICES) == {"minio", "seaweedfs", "postgres", "kafka", "registry"}
    assert SERVICES["minio"]["image"] == "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
    assert SERVICES["postgres"]["image"].startswith("postgres:18.")


@every_service
def test_each_image_is_pinned_to_a_release(service):
    _, _, tag = service["image"].rpartition(":")
    assert re.fullmatch(r"\d+(\.\d+)+|RELEASE\.[\dTZ-]+", tag)


@every_service
def test_each_service_has_a_health_check_and_a_memory_limit(service):
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)
    assert "mem_limit" in service


@every_service
def test_each_port_is_on_loopback(service):
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:5\d{4}:\d+", port)


@every_service
def test_no_password_has_a_default_and_no_data_stays(service):
    for name, value in service["environment"].items():
        if re.search("PASSWORD|SECRET", name):
            assert re.fullmatch(r"\$\{HOLDED_TEST_\w+:\?[^}]+\}", value)
    assert "volumes" not in service
    assert "trust" not in str(service)


def test_the_registry_waits_until_kafka_is_healthy():
    assert SERVICES["registry"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_the_docs_name_each_port_and_password():
    page = (ROOT / "docs" / "how-to" / "testing-services.md").read_text(encoding="utf-8")
    for port in re.findall(r"127\.0\.0\.1:(\d+):", FILE.read_text(encoding="utf-8")):
        assert f"127.0.0.1:{port}" in page
    for variable in re.findall(r"\$\{(\w+):\?", FILE.read_text(encoding="utf-8")):
        assert variable in page
