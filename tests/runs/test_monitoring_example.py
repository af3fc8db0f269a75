"""The alert rules and the dashboard use metrics that exist, in PromQL that parses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import prometheus_client
import promql_parser
import pytest
import yaml

from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.runs.metrics import COUNTERS, METRIC_NAMES

FOLDER = Path(__file__).parent.parent.parent / "examples" / "monitoring"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((FOLDER / "grafana_dashboard.json").read_text(encoding="utf-8"))
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + TARGETS
LABELS = {"pipeline", "job", "instance"}.union(*(labels for _, labels in COUNTERS.values()))
API_COUNTERS = {
    f"{each._name}_total": set(each._labelnames)
    for each in vars(Metrics()).values()
    if isinstance(each, prometheus_client.Counter)
}


def names_in(text):
    return set(re.findall(r"holded_pipeline_\w+", text))


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_an_expression_parses_and_its_metrics_and_labels_exist(expression):
    plain = expression.replace("$__rate_interval", "5m")
    promql_parser.parse(plain)
    assert names_in(plain) <= METRIC_NAMES
    api_names = set(re.findall(r"holded_api_\w+_total", plain))
    assert api_names <= API_COUNTERS.keys()
    labels = [label.strip() for listed in re.findall(r"by \(([^)]*)\)", plain) for label in listed.split(",")]
    labels += re.findall(r"(\w+)=~?\"", plain)
    assert set(labels) <= LABELS.union(*(API_COUNTERS[name] for name in api_names))


def test_the_dashboard_shows_every_metric():
    shown = set().union(*map(names_in, TARGETS))
    assert shown == METRIC_NAMES - {"holded_pipeline_last_run_timestamp_seconds"}


def test_the_variable_of_the_dashboard_asks_for_a_metric_that_exists():
    queries = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    assert [names_in(query) <= METRIC_NAMES for query in queries] == [True]


def test_each_panel_has_an_id_and_a_place_of_its_own():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_and_what_to_do(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_there_is_an_alert_for_each_thing_that_can_go_wrong():
    assert len({rule["alert"] for rule in RULES}) == len(RULES) == 14


def test_each_job_of_an_alert_is_scraped():
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    asked = {name for rule in RULES for name in re.findall(r'job="(\w+)"', rule["expr"])}
    assert {"holded_pipeline", "holded_api"} == asked
    assert asked <= {job["job_name"] for job in settings["scrape_configs"]}


def test_prometheus_loads_the_rules():
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(FOLDER / name).exists() for name in settings["rule_files"]] == [True]
