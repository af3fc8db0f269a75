"""Runs a command beside real servers: MinIO, Apicurio Registry, PostgreSQL and Prism, without Docker.

    python tests/integration/services -- pytest -n0 tests/integration
    python tests/integration/services --only seaweedfs,postgres,registry -- pytest -n0 tests/integration

The command finds them by the variables HOLDED_TEST_…. A server that cannot be started is reported with the reason, and
its variables are not set. The exit code is the command's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from servers import services, start

_ALL = "minio,registry,postgres,prism"
_KNOWN = {*_ALL.split(","), "seaweedfs"}


def main() -> int:
    """The command's exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=_ALL, help=f"what to start (default: {_ALL}; also: seaweedfs)")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    unknown = set(names) - _KNOWN
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(sorted(_KNOWN))}")
    with services() as running:
        began = time.monotonic()
        variables, absent = start(running, names)
        print(
            f"started in {time.monotonic() - began:.1f} s: {', '.join(n for n in names if n not in absent) or 'none'}"
        )
        for name, reason in absent.items():
            print(f"SKIPPED {name}: {reason}")
        sys.stdout.flush()
        return subprocess.run(arguments.command, env=os.environ | variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
