"""Servers that outlive a block, and a password that libpq finds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import holded_pipeline as hp
from holded_pipeline import local
from holded_pipeline.local import seaweedfs
from holded_pipeline.local.ports import HOST, free_ports

HELD_BY_A_NAME = """
import os, psycopg, holded_pipeline as hp
servers = hp.local.start()
print(servers.folder, psycopg.connect(servers.postgres.url).execute("SELECT 1").fetchone()[0], flush=True)
"""


def test_servers_run_until_they_are_stopped(monkeypatch):
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    servers = local.start()
    with local.stack() as others:
        with pytest.raises(hp.ConfigurationError, match="end of their block"):
            others.stop()
        for each in (servers, others):
            psycopg.connect(each.postgres.url).close()
    psycopg.connect(servers.postgres.url).close()  # after the newer ones have ended
    assert servers.minio.endpoint in servers._repr_html_()
    servers.stop()
    servers.stop()
    for call in (servers.start_postgres, servers.start_minio, servers.new_bucket, servers.new_database):
        with pytest.raises(hp.ConfigurationError, match="have been stopped, and do not start again"):
            call()
    assert not servers.folder.exists()
    assert str(servers.folder) not in os.environ.get("PGPASSFILE", "")


def test_servers_stop_when_the_process_ends(stack):
    """The process inherits the file of `stack`, which runs here."""
    environment = {name: value for name, value in os.environ.items() if name != "PGPASSWORD"}
    done = subprocess.run(
        [sys.executable, "-c", HELD_BY_A_NAME], capture_output=True, text=True, check=True, env=environment
    )
    folder, found = done.stdout.split()
    assert found == "1"
    assert not Path(folder).exists()


def test_a_store_whose_inner_port_was_taken_takes_others(monkeypatch):
    with socket.socket() as taker:
        asked = []

        def ask_and_lose_the_admin_port(count):
            ports = free_ports(count)
            if not asked:
                taker.bind((HOST, ports[seaweedfs._PORTS.index("admin")]))
                taker.listen()
            asked.append(ports)
            return ports

        monkeypatch.setattr(seaweedfs, "free_ports", ask_and_lose_the_admin_port)
        with local.stack() as stack:
            assert stack.minio.endpoint.endswith(f":{asked[1][0]}")
