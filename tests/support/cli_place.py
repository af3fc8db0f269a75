"""A file of settings over real servers, and the command in this process."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from click.testing import CliRunner, Result

import holded_pipeline as hp
from holded_pipeline.cli.commands import commands
from holded_pipeline.cli.template import TEMPLATE

SCHEMAS = Path(__file__).parent.parent.parent / "examples" / "schemas"


@attrs.frozen
class Place:
    """A file of settings over a bucket and a database of its own."""

    file: Path
    lake: hp.MinIO
    db: hp.Postgres
    environment: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> Result:
        """Runs the command with this file."""
        variables = self.environment | {"HOLDED_PIPELINE_CONFIG": str(self.file)} | environment
        result = CliRunner().invoke(commands, [str(each) for each in arguments], env=variables)
        for secret in (self.lake.secret_key, self.db.password):
            assert secret.reveal() not in result.output
        return result

    def json(self, *arguments: str, **environment: str):
        """What the command prints with `--json`, which must be one document."""
        result = self.run(*arguments, "--json", **environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


def fill_in(lake: hp.MinIO, db: hp.Postgres) -> str:
    """The file of `init`, filled in."""
    text = TEMPLATE
    for written, real in (
        ('"http://localhost:9000"', f'"{lake.endpoint}"'),
        ('bucket = "holded"', f'bucket = "{lake.bucket}"'),
        ('"minioadmin"', f'"{lake.access_key}"'),
        ('"postgresql://holded@localhost:5432/holded_business"', f'"{db.url}"'),
        ('# directory = "schemas"  ', f'directory = "{SCHEMAS}"  '),
    ):
        assert written in text
        text = text.replace(written, real)
    return text


def store_samples(place: Place, count: int, faults: float = 0.0, name: str = "samples") -> None:
    lines = hp.testing.sample_lines(hp.testing.sample_events(count, seed=7, faults=faults))
    place.lake.filesystem().pipe(f"{place.lake.bucket}/raw/{name}.jsonl", lines)
