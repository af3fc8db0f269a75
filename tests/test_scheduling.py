"""The files in examples/scheduling are well-formed, start the command, and keep runs apart."""

from __future__ import annotations

import configparser
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import types
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent.parent / "examples" / "scheduling"
UNITS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".service", ".timer"})
RUN = "run --config holded-pipeline.toml"
MANIFESTS = {"cronjob": RUN, "deployment": f"{RUN} --every 60s", "indexed-job": f"{RUN} --shard $(SHARD)/8"}


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def pod_of(name: str) -> dict:
    spec = yaml.safe_load(text_of(f"kubernetes/{name}.yaml"))["spec"]
    return (spec["jobTemplate"]["spec"] if name == "cronjob" else spec)["template"]["spec"]


def unit_of(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str
    unit.read_string(text_of(name))
    return unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(name, tmp_path):
    for unit in UNITS:  # the program is not installed here: any that is will do
        (tmp_path / unit).write_text(re.sub(r"/(opt/holded|usr)/bin/\S+", "/bin/true", text_of(unit)))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", tmp_path / name.replace("@", "@x")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in found.stderr.splitlines() if "holded" in line] == []


@pytest.mark.parametrize(("name", "more"), [("holded-run", ""), ("holded-continuous", " --every 60s")])
def test_a_service_runs_the_command_and_alerts(name, more):
    unit = unit_of(f"{name}.service")
    assert unit["Service"]["ExecStart"] == f"/opt/holded/bin/holded-pipeline {RUN}{more}"
    assert unit["Unit"]["OnFailure"] == "holded-alert@%n.service"
    assert "TimeoutStopSec" in unit["Service"]


def test_a_wrong_configuration_is_not_tried_again():
    assert unit_of("holded-continuous.service")["Service"]["RestartPreventExitStatus"] == "2 4"


def test_the_line_of_cron_is_one_that_a_shell_accepts():
    line = text_of("crontab").splitlines()[-1]
    *times, command = line.split(maxsplit=5)
    assert times == ["*/5", "*", "*", "*", "*"]
    assert "%" not in command  # cron would read it as the end of the line
    words = shlex.split(command)
    assert words[words.index("flock") : words.index("flock") + 6] == [
        *("flock", "-n", "/run/lock/holded.lock", "timeout", "-k", "120")
    ]
    assert f"/opt/holded/bin/holded-pipeline {RUN} " in command
    assert subprocess.run(["bash", "-n", "-c", command], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_pod_runs_the_command_with_few_rights(name):
    pod = pod_of(name)
    (container,) = pod["containers"]
    assert " ".join(container["args"]) == MANIFESTS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["envFrom"] == [{"secretRef": {"name": "holded-secrets"}}]
    assert set(container["resources"]) == {"requests", "limits"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_jobs_do_not_overlap_and_end():
    spec = yaml.safe_load(text_of("kubernetes/cronjob.yaml"))["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 1800
    assert pod_of("cronjob")["restartPolicy"] == "Never"


def test_the_deployment_selects_its_pods_and_waits_for_a_run():
    spec = yaml.safe_load(text_of("kubernetes/deployment.yaml"))["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert pod_of("deployment")["terminationGracePeriodSeconds"] > 60


def test_an_indexed_job_has_a_pod_for_each_shard_and_tries_each_again_alone():
    spec = yaml.safe_load(text_of("kubernetes/indexed-job.yaml"))["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", 8)
    assert spec["parallelism"] <= spec["completions"]
    assert spec["backoffLimitPerIndex"] > 0
    pod = pod_of("indexed-job")
    assert pod["restartPolicy"] == "Never"  # a failure policy wants it
    (shard,) = pod["containers"][0]["env"]
    assert shard["name"] == "SHARD"
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    assert shard["valueFrom"]["fieldRef"]["fieldPath"] == index
    codes = {rule["action"]: rule["onExitCodes"] for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule}
    assert {action: code["values"] for action, code in codes.items()} == {"FailJob": [2], "FailIndex": [4]}
    assert {code["containerName"] for code in codes.values()} == {pod["containers"][0]["name"]}


@pytest.fixture
def airflow(monkeypatch):
    """Stands in for Airflow, which is not installed here: the arguments of DAGs and tasks, and the commands."""
    seen = {"dag": [], "task": [], "commands": []}

    def dag(**arguments):
        seen["dag"].append(arguments)
        return lambda function: function

    def bash(function=None, **arguments):
        if function is None:
            return lambda given: bash(given, **arguments)
        seen["task"].append(arguments)

        def call(**values):
            seen["commands"].append(function(**values))

        call.expand = lambda **values: [
            call(**dict(zip(values, each, strict=True))) for each in zip(*values.values(), strict=True)
        ]
        return call

    sdk = types.ModuleType("airflow.sdk")
    sdk.dag, sdk.task = dag, types.SimpleNamespace(bash=bash)
    monkeypatch.setitem(sys.modules, "airflow", types.ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    return seen


@pytest.mark.parametrize(
    ("name", "shards"),
    [("airflow_dag.py", [""]), ("airflow_sharded_dag.py", [f" --shard {number}/8" for number in range(8)])],
)
def test_a_dag_runs_the_command_one_run_at_a_time(airflow, name, shards):
    runpy.run_path(str(FOLDER / name))
    (settings,) = airflow["dag"]
    assert (settings["max_active_runs"], settings["catchup"]) == (1, False)
    assert settings["default_args"]["execution_timeout"] < timedelta(hours=1)
    command = f"cd /etc/holded && exec /opt/holded/bin/holded-pipeline {RUN}"
    assert airflow["commands"] == [f"{command}{shard}" for shard in shards]


def test_the_image_starts_the_command_without_a_shell():
    lines = dict(line.split(maxsplit=1) for line in text_of("Dockerfile").splitlines() if line[:3] in {"ENT", "CMD"})
    assert [*json.loads(lines["ENTRYPOINT"]), *json.loads(lines["CMD"])] == ["holded-pipeline", *RUN.split()]
