"""The file that `init` writes."""

from __future__ import annotations

from typing import Final

_SERVERS: Final = """# Settings of holded-pipeline. `holded-pipeline check` says what is missing or wrong.
# HOLDED_<SECTION>_<KEY> in the environment replaces a key, e.g. HOLDED_STORE_BUCKET=other.
# Paths are relative to this file. Secrets are not in it: it names environment variables that have them.

[store]                                # any S3-compatible store
endpoint = "http://localhost:9000"
bucket = "holded"
access_key = "minioadmin"
secret_key_env = "MINIO_SECRET_KEY"    # the variable with the secret key
# region = "us-east-1"
# addressing_style = "path"            # or "virtual"
# verify = "ca.pem"                    # the CA bundle of the server's certificate

[database]                             # PostgreSQL; its tables are created by the first run
url = "postgresql://holded@localhost:5432/holded_business"
password_env = "PGPASSWORD"            # the variable with the password; it may be unset where none is needed
"""
_REST: Final = """
[schemas]                              # without a directory or a registry, events are not checked
# directory = "schemas"                # one JSON Schema in each file
# registry = "http://localhost:8081"   # or a schema registry
# token_env = "REGISTRY_TOKEN"         # the variable with its token; or username, and password_env
# subject = "{type}"                   # which schema an event has

[flow]
name = "ingest"                        # of the ledger, of the runs and of the lease
raw = "raw/"                           # what is read; a prefix or a glob
enriched = "enriched/"                 # where enriched events go
rejected = "rejected/"                 # where rejected records go, with their reasons
# envelope = "holded"                  # how a document becomes an event
# records = "/Records/*"               # where records are inside each document
enrichers = ["processing", "business_context", "quality"]
# min_quality = 0.5                    # events with a lower score are rejected
# max_rejected = 0.05                  # the run fails above this share; an integer is a number of records
# on_conflict = "ignore"               # or "update", or "reject"
# on_empty = "ignore"                  # or "warn", or "fail"

[runs]
every = "60s"                          # for `run --continuous`
retry = "60s"                          # how long a server that does not answer is waited for

[api]                                  # for `serve`; its keys are in HOLDED_API_KEY, or HOLDED_API_KEY_<NAME>,
                                       # and such a key may only send events
host = "localhost"
port = 8000
# rate = "1000/second"                 # requests for each key, or "none"
# certificate = "certificate.pem"      # for HTTPS; private_key, if it is in a file of its own
# health_port = 8001                   # a second port, for /health, /ready and /metrics alone
# check_schemas = true                 # events are checked before they are accepted
# workers = 1                          # processes behind one socket
# log_format = "text"                  # or "json": a JSON line for each request
# cors_origins = []                    # web pages that may call the API, ["https://app.example.com"]
# key_file = "keys.toml"               # hashes of keys instead; `holded-pipeline key new NAME` prints entries

# [api.keys.grafana]                   # what the key in HOLDED_API_KEY_GRAFANA may do
# scopes = ["metrics"]                 # of collect, read, metrics, admin
# companies = ["…"]                    # whose events it may send; expires_at = 2027-01-01T00:00:00Z is its end

# [api.spool]                          # takes events while the store does not answer
# folder = "spool"                     # on a local disk that outlives the process
# max_bytes = 1073741824               # for each process
# after = "2s"                         # how long a write may take
"""
TEMPLATE: Final = _SERVERS + _REST
"""A file for servers of your own; each key that is not in it is in a comment, with its default."""
