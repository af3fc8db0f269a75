"""The replay example, as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from preloaded import run_script

import holded_pipeline as hp

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "replay_rejected.py"


def example(*arguments, **environment):
    return run_script(EXAMPLE, *arguments, env={"PATH": "", **environment})


def test_it_shows_that_a_fixed_schema_leaves_nothing_to_replay():
    done = example("--samples", 60)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.split("Left after the replay")
    assert "validate: schema_violation  pass" in before
    assert "0 of 0 would pass" in after
    assert "business_events holds 60 events. Nothing is left to replay." in after


def test_it_forecasts_and_replays_on_given_servers(run, lake, db, tmp_path):
    samples = hp.testing.sample_events(20, seed=1)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(samples))

    def build(pipeline):
        checked = (pipeline | hp.ReadMinIO(lake, "raw/")).passed | hp.ValidateSchema({}, subject="{type}")
        return {"w": checked.rejected | hp.WriteRejected(lake, "rejected/")}

    run(build)
    servers = (
        "--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key, "--postgres", db.url,
    )  # fmt: skip
    secret = lake.secret_key.reveal()
    hp.migrate(db)
    done = example(*servers, "--reason", "unknown_subject", MINIO_SECRET_KEY=secret, PGPASSWORD=db.password.reveal())
    assert done.returncode == 0, done.stderr
    assert "20 of 20 would pass" in done.stdout
    assert "business_events holds 20 events. Nothing is left to replay." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minio", "http://127.0.0.1:1"], "--minio and --postgres go together"),
        (["--max-attempts", "0"], "--max-attempts must be at least 1"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(arguments, words):
    done = example(*arguments)
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
