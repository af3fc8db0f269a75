"""Calls an enricher in a process of its own, as on a worker that shares nothing with this one."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from apache_beam.internal import pickler

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.broken_rules import BrokenRules
from holded_pipeline.testing.contract.enricher_lifecycle import CallResult, call_result
from holded_pipeline.user_code.errors import describe_error, result_or_error

_HASH_SEED = "4711"  # another order of sets than here, nearly always
_STARTUP_SECONDS = 120.0  # for Python and Beam to start on a busy machine


def call_in_other_process(
    enricher: bytes, events: Sequence[Event], seconds: float, broken_rules: BrokenRules
) -> list[CallResult]:
    """The result for each event in a new process.

    The other process makes the results, as a worker does, so what an enricher returns or raises need not be picklable.

    Args:
        enricher: as Beam pickles it.
        events: what it is called with.
        seconds: for each event.
        broken_rules: where broken rules are collected.

    Returns:
        The result for each event; fewer if the process or the enricher failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder, "job"), Path(folder, "answer")
        job.write_bytes(pickle.dumps((enricher, [pickle.dumps(event) for event in events], broken_rules.empty_copy())))
        problem = _run_main(job, answer, _STARTUP_SECONDS + seconds * len(events))
        if problem is not None:
            broken_rules.add("picklable", f"in another process it {problem}")
            return []
        results, broken_there = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own process
    broken_rules.merge(broken_there)
    return list(results)


def _run_main(job: Path, answer: Path, limit: float) -> str | None:
    """Runs `main` in a new Python process; what went wrong, or None if it wrote the answer."""
    search = json.dumps([*(path or os.getcwd() for path in sys.path), os.getcwd()])  # noqa: PTH109  as Python itself
    program = f"import sys; sys.path[:] = {search}; from {__name__} import main; main()"
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and program
            [sys.executable, "-c", program, str(job), str(answer)],
            env={**os.environ, "PYTHONHASHSEED": _HASH_SEED},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {limit:g} s"
    if answer.exists():
        return None
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"ended without an answer: {last}"


def main() -> None:
    """Runs in the other process: reads the job and writes the results."""
    job, answer = sys.argv[1:3]
    pickled, events, broken_rules = pickle.loads(Path(job).read_bytes())  # noqa: S301  as above
    results: list[CallResult] = []
    try:
        enricher: Enricher = pickler.loads(pickled)
        with enricher.opened() as opened:
            callee = enricher.callee(opened)
            for event in map(pickle.loads, events):
                view = Draft(event).view
                outcome = result_or_error(callee, [view] if enricher.takes_batches else view)
                results.append(call_result(enricher, event, outcome, broken_rules))
    except BaseException as error:  # noqa: BLE001  user code may raise anything; the caller reports it
        broken_rules.add("picklable", f"in another process it raised {describe_error(error)}")
    Path(answer).write_bytes(pickle.dumps((results, broken_rules)))


if __name__ == "__main__":
    main()
