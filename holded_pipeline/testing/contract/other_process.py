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

from apache_beam.internal import pickler

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.values import Event
from holded_pipeline.testing.contract.findings import Findings
from holded_pipeline.testing.contract.trials import EnricherVerdict, judged
from holded_pipeline.user_code.errors import describe_error, result_or_error

_HASH_SEED = "4711"  # another order of sets than here, nearly always
_START = 120.0  # seconds for Python and Beam to start on a busy machine


def call_in_other_process(
    enricher: bytes, events: Sequence[Event], seconds: float, findings: Findings
) -> list[EnricherVerdict]:
    """The verdict on each event in a new process.

    It is judged there, as on a worker: what an enricher returns or raises need not be fit to travel.

    Args:
        enricher: as Beam pickles it.
        events: what it is called with.
        seconds: for each event.
        findings: where broken rules are noted.

    Returns:
        The verdict on each event; fewer if the process went wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, answer = Path(folder, "job"), Path(folder, "answer")
        job.write_bytes(pickle.dumps((enricher, [pickle.dumps(event) for event in events], findings.emptied())))
        search = json.dumps([*(path or os.getcwd() for path in sys.path), os.getcwd()])  # noqa: PTH109  as Python itself
        program = f"import sys; sys.path[:] = {search}; from {__name__} import main; main()"
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
            findings.add("picklable", f"in another process it did not end within {limit:g} s")
            return []
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            findings.add("picklable", f"in another process it ended without an answer: {last}")
            return []
        verdicts, found = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own process
        findings.add_all(found)
        return list(verdicts)


def main() -> None:
    """The other process: reads the job, and writes the verdicts."""
    job, answer = sys.argv[1:3]
    pickled, events, findings = pickle.loads(Path(job).read_bytes())  # noqa: S301  as above
    verdicts: list[EnricherVerdict] = []
    try:
        enricher: Enricher = pickler.loads(pickled)
        with enricher.opened() as opened:
            callee = enricher.callee(opened)
            for event in map(pickle.loads, events):
                view = Draft(event).view
                outcome = result_or_error(callee, [view] if enricher.takes_batches else view)
                verdicts.append(judged(enricher, event, outcome, findings))
    except BaseException as error:  # noqa: BLE001  a stranger's enricher may raise anything; it is told where it is asked
        findings.add("picklable", f"in another process it raised {describe_error(error)}")
    Path(answer).write_bytes(pickle.dumps((verdicts, findings)))


if __name__ == "__main__":
    main()
