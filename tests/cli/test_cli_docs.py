"""docs/reference/cli.md names every command, key and exit code, and no others."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import click

from holded_pipeline.cli.commands import EPILOG, commands
from holded_pipeline.cli.exit_codes import ExitCode
from holded_pipeline.cli.settings_file import SECTIONS, keys_of_section

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")


def table_of(heading: str) -> dict[str, str]:
    """The rows of the table below a heading: the first cell, and the others."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `?([^|`]+?)`? \| (.*) \|$", section, re.MULTILINE))


def all_commands():
    context = click.Context(commands)
    return [commands.get_command(context, name) for name in commands.list_commands(context)]


def test_every_command_is_described():
    named = set(table_of("Commands")) - {"command"}
    assert named == {command.name for command in all_commands()}


def test_every_command_of_a_group_is_named():
    for group in all_commands():
        for name in getattr(group, "commands", ()):
            assert f"`{name}" in table_of("Commands")[group.name], (group.name, name)


def test_every_key_is_named_in_its_section():
    rows = table_of("The file")
    for section in SECTIONS:
        row = rows[f"[{section}]"]
        assert [key for key in keys_of_section(section) if f"`{key}`" not in row] == []


def test_the_exit_codes_are_those_of_the_code_and_of_the_help():
    rows = {code: row for code, row in table_of("Exit codes").items() if code.isdigit()}
    assert {(int(code), re.search(r"`(\w+)`", row)[1]) for code, row in rows.items()} == {
        (each.value, each.name) for each in ExitCode
    }
    assert re.findall(r"^  (\d+) ", EPILOG, re.MULTILINE) == list(rows)


def test_every_command_that_prints_data_can_print_json():
    words_alone = {"init", "serve"}
    for command in all_commands():
        for leaf in getattr(command, "commands", {command.name: command}).values():
            options = {each for parameter in leaf.params for each in parameter.opts}
            assert ("--json" in options) != (leaf.name in words_alone), leaf.name


def test_the_entry_point_is_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["holded-pipeline"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert {each.partition(">")[0] for each in project["optional-dependencies"]["cli"]} == {"click", "rich"}
