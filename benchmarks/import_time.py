"""How long importing the package takes, beside Beam alone, each in new processes that take turns.

python benchmarks/import_time.py             5 rounds
python benchmarks/import_time.py --smoke     1 round, to see that it runs
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

TIMED = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"
MODULES = ("apache_beam", "holded_pipeline")


def seconds_of(module: str) -> float:
    """How long a new process takes to import a module, without the start of Python."""
    command = [sys.executable, "-c", TIMED.format(module)]
    done = subprocess.run(command, check=True, text=True, capture_output=True)  # noqa: S603  the names stand above
    return float(done.stdout)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="one round, to see that it runs")
    arguments = parser.parse_args()
    rounds = 1 if arguments.smoke else arguments.rounds
    turns: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(rounds):
        for module in MODULES:
            turns[module].append(seconds_of(module))
    beam, package = (statistics.median(turns[module]) for module in MODULES)
    print(f"import apache_beam      {beam:6.2f} s, median of {rounds}")
    print(f"import holded_pipeline  {package:6.2f} s, Beam included: {package / beam:.2f} times Beam alone")


if __name__ == "__main__":
    main()
