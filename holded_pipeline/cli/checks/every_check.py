"""All checks, in the order in which they are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import attrs

from holded_pipeline.cli.checks.api_checks import (
    check_api_certificate,
    check_api_keys,
    check_api_ports,
    check_api_schemas,
    has_api,
)
from holded_pipeline.cli.checks.database_checks import check_database, check_database_clock, check_tables
from holded_pipeline.cli.checks.schema_checks import check_schemas
from holded_pipeline.cli.checks.store_checks import check_bucket, check_raw, check_store_clock, check_writable
from holded_pipeline.cli.checks.time_bound import within
from holded_pipeline.cli.connections import database_of, lake_of, schemas_of
from holded_pipeline.cli.settings import Settings
from holded_pipeline.cli.version_command import installed_versions
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.plugins.registry import PluginRegistry
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.store.minio import MinIO

STORE: Final = "store"
DATABASE: Final = "database"


@attrs.frozen
class Check:
    """One check.

    Attributes:
        name: what is checked.
        run: returns what it found; raises what is wrong.
        needs: the check without which this one cannot be made; None if it needs no other.
    """

    name: str
    run: Callable[[], str]
    needs: str | None = None


def all_checks(settings: Settings, deadline: float) -> Iterator[Check]:
    """The checks of the settings; no server is waited for longer than `deadline` seconds."""
    flow = settings.flow
    yield Check("versions", _versions)
    yield Check("prefixes", partial(_check_prefixes, settings))
    yield Check("secrets", partial(_check_secrets, settings))
    yield from _store_checks(settings, deadline)
    yield from _database_checks(settings, deadline)
    schemas = "registry" if settings.schemas.registry else "schemas"
    yield Check(
        "schemas", lambda: within(deadline, schemas, lambda: check_schemas(*schemas_of(settings, retry=deadline)))
    )
    yield Check("plugins", lambda: _count_plugins(PluginRegistry.installed()))
    yield Check(f"envelope {flow.envelope}", partial(_check_envelope, flow.envelope))
    for name in flow.enrichers:
        yield Check(f"enricher {name}", partial(_check_enricher, name))
    if has_api(settings):
        for name, look in (
            ("keys", check_api_keys),
            ("certificate", check_api_certificate),
            ("ports", check_api_ports),
            ("schemas", check_api_schemas),
        ):
            yield Check(f"api {name}", partial(look, settings))


def _store_checks(settings: Settings, deadline: float) -> Iterator[Check]:
    def check(name: str, look: Callable[[MinIO], str], needs: str | None = STORE) -> Check:
        def run() -> str:
            lake = lake_of(settings, retry=deadline)
            return within(deadline, STORE, lambda: look(attrs.evolve(lake, timeout=min(lake.timeout, deadline))))

        return Check(name, run, needs)

    flow = settings.flow
    yield check(STORE, check_bucket, None)
    yield check("store clock", check_store_clock)
    yield check(f"read {flow.raw}", partial(check_raw, raw=flow.raw))
    yield check(f"write {flow.enriched}", partial(check_writable, prefix=flow.enriched))
    yield check(f"write {flow.rejected}", partial(check_writable, prefix=flow.rejected))
    if has_api(settings):
        yield check(f"write {flow.raw}", partial(check_writable, prefix=flow.raw))


def _database_checks(settings: Settings, deadline: float) -> Iterator[Check]:
    def check(name: str, look: Callable[[Postgres], str], needs: str | None = DATABASE) -> Check:
        def run() -> str:
            db = database_of(settings, retry=deadline)
            quick = attrs.evolve(db, connect_timeout=min(db.connect_timeout, deadline))
            return within(deadline, DATABASE, lambda: look(quick))

        return Check(name, run, needs)

    yield check(DATABASE, check_database, None)
    yield check("database clock", check_database_clock)
    yield check("tables", check_tables)


def _versions() -> str:
    return ", ".join(f"{name} {number}" for name, number in installed_versions().items())


def _check_prefixes(settings: Settings) -> str:
    flow = settings.flow
    for name, prefix in (("enriched", flow.enriched), ("rejected", flow.rejected)):
        if prefix.startswith(flow.raw.rstrip("/") + "/") or prefix.rstrip("/") == flow.raw.rstrip("/"):
            raise ConfigurationError(
                f"what is written to {name} = {prefix!r} would be read again, since it is below raw = {flow.raw!r}; "
                "give it a prefix of its own"
            )
    return f"{flow.raw} to {flow.enriched} and {flow.rejected}"


def _check_secrets(settings: Settings) -> str:
    needed = [settings.store.secret_key_env, settings.schemas.password_env, settings.schemas.token_env]
    missing = [variable for variable in needed if variable and variable not in os.environ]
    if missing:
        raise ConfigurationError(f"the environment variable {missing[0]} is not set; set it to the secret")
    password = settings.database.password_env
    absent = "" if password in os.environ else f"; {password} is not set, so the database is asked without a password"
    return f"{', '.join(variable for variable in needed if variable)}: set{absent}"


def _count_plugins(registry: PluginRegistry) -> str:
    return (
        f"{len(registry.enrichers)} enrichers, {len(registry.envelopes)} envelopes, "
        f"{len(registry.quality_rules)} quality rules"
    )


def _check_envelope(name: str) -> str:
    registry = PluginRegistry.installed()
    registry.envelope(name)
    return f"of {registry.owner('envelope', name)}"


def _check_enricher(name: str) -> str:
    registry = PluginRegistry.installed()
    registry.enricher(name)
    return f"of {registry.owner('enricher', name)}"
