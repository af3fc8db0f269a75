"""Each exit code, and the one sentence that stands beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from cli_place import store_samples
from preloaded import run_without

from holded_pipeline.cli.exit_codes import ExitCode
from holded_pipeline.cli.main import main


@pytest.fixture(scope="module")
def place(make_place):
    made = make_place()
    store_samples(made, 40, faults=0.5)
    return made


WRONG = {
    "a bucket": (ExitCode.WRONG_USAGE, ("run",), {"HOLDED_STORE_BUCKET": "nowhere"}, "create the bucket"),
    "no secret": (ExitCode.WRONG_USAGE, ("run",), {"HOLDED_STORE_SECRET_KEY_ENV": "NOT_SET"}, "NOT_SET is not set"),
    "no file": (ExitCode.WRONG_USAGE, ("run", "--config", "none.toml"), {}, "holded-pipeline init"),
    "an option": (ExitCode.WRONG_USAGE, ("run", "--evry", "60s"), {}, "--every"),
    "a shard": (ExitCode.WRONG_USAGE, ("run", "--shard", "8/8"), {}, "write 0/8 for the first of 8, 7/8 for the last"),
    "a shard's form": (ExitCode.WRONG_USAGE, ("run", "--shard", "1"), {}, "'1' is no shard"),
    "a shard of a loop": (ExitCode.WRONG_USAGE, ("run", "--shard", "0/8", "--every", "1s"), {}, "for single runs"),
    "a duration": (ExitCode.WRONG_USAGE, ("run", "--every", "soon"), {}, "no duration"),
    "a run": (ExitCode.WRONG_USAGE, ("runs", "show", "none"), {}, "no run has the id 'none'"),
    "a runner": (ExitCode.WRONG_USAGE, ("run",), {"HOLDED_RUNS_RUNNER": "DaskRunner"}, "name another runner"),
    "no store": (
        ExitCode.NO_ANSWER,
        ("run",),
        {"HOLDED_STORE_ENDPOINT": "http://127.0.0.1:1", "HOLDED_RUNS_RETRY": "100ms"},
        "127.0.0.1:1",
    ),
    "no database": (
        ExitCode.NO_ANSWER,
        ("runs", "list"),
        {"HOLDED_DATABASE_URL": "postgresql://holded@127.0.0.1:1/x", "HOLDED_RUNS_RETRY": "100ms"},
        "127.0.0.1:1",
    ),
    "budget": (ExitCode.TOO_MANY_REJECTED, ("run", "--max-rejected", "10%"), {}, "rejected"),
    "strict": (ExitCode.TOO_MANY_REJECTED, ("run", "--strict"), {}, "rejected"),
    "a spool": (
        ExitCode.WRONG_USAGE,
        ("serve", "--port", "0"),
        {"HOLDED_API_SPOOL": '{folder = "/dev/null/spool"}'},
        "the spool folder /dev/null/spool cannot be used",
    ),
    "a spool's time": (
        ExitCode.WRONG_USAGE,
        ("serve", "--port", "0"),
        {"HOLDED_API_SPOOL": '{folder = "spool", after = "20s"}'},
        "[api.spool] after must be less than 10 s",
    ),
    "a host": (ExitCode.WRONG_USAGE, ("serve", "--host", "0.0.0.0", "--port", "0"), {}, "API keys"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_an_error_is_one_sentence_with_its_code_and_no_traceback(place, name):
    code, arguments, environment, words = WRONG[name]
    result = place.run(*arguments, **environment)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_runs_that_end_have_the_code_of_the_last_one(place):
    result = place.run("run", "--every", "1s", "--max-runs", "1", "--max-rejected", "10%")
    assert result.exit_code == ExitCode.TOO_MANY_REJECTED, result.output


def test_a_run_without_stderr_ends_as_others(make_place):
    """A daemon may close stderr."""
    made = make_place()
    store_samples(made, 3)
    command = [sys.executable, "-m", "holded_pipeline.cli.main", "run", "--config", str(made.file), "--json"]
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    done = subprocess.run(closed, stdout=subprocess.PIPE, env=os.environ | made.environment, check=False)
    assert (done.returncode, json.loads(done.stdout)["records"]) == (0, 3)


def test_ctrl_c_before_a_command_has_begun_is_one_word(monkeypatch, capsys):
    def interrupt(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("holded_pipeline.cli.commands.commands", interrupt)
    with pytest.raises(SystemExit) as caught:
        main()
    assert (caught.value.code, capsys.readouterr().err) == (ExitCode.INTERRUPTED, "interrupted\n")


def test_debug_shows_the_traceback(place):
    result = place.run("--debug", "run", HOLDED_STORE_BUCKET="nowhere")
    assert result.exc_info[0].__name__ == "ConfigurationError"


def test_check_says_that_servers_do_not_answer(place):
    result = place.run(
        "check",
        "--deadline",
        "100ms",
        HOLDED_STORE_ENDPOINT="http://127.0.0.1:1",
        HOLDED_DATABASE_URL="postgresql://holded@127.0.0.1:1/x",
    )
    assert result.exit_code == ExitCode.NO_ANSWER
    assert "ok   schemas" in result.stdout


def test_init_refuses_to_replace_a_file(place, tmp_path):
    file = tmp_path / "new.toml"
    assert place.run("init", "--config", str(file)).exit_code == 0
    file.write_text("# mine", encoding="utf-8")
    result = place.run("init", "--config", str(file))
    assert (result.exit_code, file.read_text()) == (2, "# mine")
    assert place.run("init", "--config", str(file), "--force").exit_code == 0
    assert "[store]" in file.read_text()


@pytest.mark.parametrize(
    ("missing", "arguments", "code", "words"),
    [
        ("click", ["version"], 2, "pip install '.[cli]'"),
        ("rich", ["plugins"], 0, ""),
        ("fastapi", ["up"], 2, "pip install '.[api]'"),
    ],
    ids=["click", "rich", "fastapi"],
)
def test_a_missing_package_is_named_or_done_without(missing, arguments, code, words):
    script = (
        f"import sys\nsys.argv = ['holded-pipeline', *{arguments!r}]\n"
        "from holded_pipeline.cli.main import main\nmain()\n"
    )
    done = run_without(missing, script)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
