"""An enricher in a process of its own, as on a worker that shares nothing with where it was written."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apache_beam.internal import pickler

from holded_pipeline.core.drafts import Draft
from holded_pipeline.core.enricher_faults import outcome_of, told
from holded_pipeline.core.enrichment import Enricher
from holded_pipeline.core.values import Event

_HASH_SEED = "4711"  # another order of sets than here, nearly always
_START = 120.0  # seconds for Python and Beam to start on a busy machine


def called_elsewhere(enricher: bytes, events: Sequence[Event], seconds: float) -> tuple[list[Any], str | None]:
    """The outcome of each event in a new process.

    Args:
        enricher: as Beam pickles it.
        events: what it is called with.
        seconds: for each event.

    Returns:
        For each event what was returned, or the exception; and what went wrong with the process as a whole.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder, "job"), Path(folder, "answer")
        job.write_bytes(pickle.dumps((enricher, [pickle.dumps(event) for event in events])))
        search = json.dumps([*(path or os.getcwd() for path in sys.path), os.getcwd()])  # noqa: PTH109  as Python itself
        program = f"import sys; sys.path[:] = {search}; from holded_pipeline.testing.elsewhere import main; main()"
        limit = _START + seconds * len(events)
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
            return [], f"did not end within {limit:g} s"
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return [], f"ended without an answer: {last}"
        outcomes, fault = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own process
        return outcomes, fault


def main() -> None:
    """The other process: reads the job, and writes the outcomes."""
    job, answer = sys.argv[1:3]
    pickled, events = pickle.loads(Path(job).read_bytes())  # noqa: S301  as above
    outcomes: list[Any] = []
    fault = None
    try:
        enricher: Enricher = pickler.loads(pickled)
        with enricher.opened() as opened:
            callee = enricher.callee(opened)
            for event in events:
                view = Draft(pickle.loads(event)).view  # noqa: S301  as above
                outcomes.append(_fit_to_travel(outcome_of(callee, [view] if enricher.takes_batches else view)))
    except BaseException as error:  # noqa: BLE001  a stranger's enricher may raise anything; it is told where it is asked
        fault = f"raised {told(error)}"
    Path(answer).write_bytes(pickle.dumps((outcomes, fault)))


def _fit_to_travel(outcome: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(outcome))  # noqa: S301  as above
    except Exception as error:  # noqa: BLE001  as above
        return TypeError(f"an outcome that cannot be sent between processes: {told(error)}")
    return outcome


if __name__ == "__main__":
    main()
