"""Sends sample events to a running ingestion API, and reports what happened to them.

    python examples/send_events.py http://localhost:8000 --events 10000
    python examples/send_events.py http://localhost:8000 --events 5000 --package 50 --senders 4 --rate 500 --faults 0.05

The API key comes from the environment variable HOLDED_API_KEY; it needs the scope `collect`. A package that is
answered with 429 or 503, or not answered, is sent again unchanged, after the time in `Retry-After`.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import attrs
import requests
from own_servers import above_zero, add_deadline, parser_for
from plain_errors import exit_code_of, print_status

import holded_pipeline as hp

_RETRIED_STATUSES = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0


@attrs.define
class Report:
    """What happened to the events.

    Attributes:
        acknowledged: ids of the events that the API accepted; a message that was sent twice has one id.
        duplicates: how many of them were sent twice in one package, and so are stored once.
        rejected: events that the API did not accept, by reason.
        lost: events that were not acknowledged until the deadline.
        retried: packages that were sent again, by status or error.
        seconds: the time that each package took.
    """

    acknowledged: list[str] = attrs.field(factory=list)
    duplicates: int = 0
    rejected: Counter[str] = attrs.field(factory=Counter)
    lost: int = 0
    retried: Counter[str] = attrs.field(factory=Counter)
    seconds: list[float] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def add_answer(self, answer: dict[str, Any], seconds: float) -> None:
        """Adds the answer to a package."""
        with self._lock:
            self.acknowledged += [accepted["event_id"] for accepted in answer["accepted"]]
            self.duplicates += len(answer["duplicates"])
            self.rejected.update(each["reason"] for each in answer["rejected"])
            self.seconds.append(seconds)

    def add_retry(self, why: str) -> None:
        """Counts a package that is sent again."""
        with self._lock:
            self.retried[why] += 1

    def add_lost(self, events: int, why: str) -> None:
        """Counts the events of a package that was not accepted."""
        with self._lock:
            self.lost += events
            self.rejected[why] += events


class Sender:
    """Sends packages, each with retries, at a rate that all senders share."""

    def __init__(self, url: str, *, key: str | None, rate: float | None, deadline: float, report: Report) -> None:
        self._url = f"{url.rstrip('/')}/collect"
        self._headers = {"Content-Type": "application/x-ndjson"} | ({"X-API-Key": key} if key else {})
        self._interval = 0.0 if rate is None else 1 / rate
        self._deadline = deadline
        self._report = report
        self._sessions = threading.local()
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def send(self, package: Sequence[bytes]) -> None:
        """Sends one package of documents, with retries until the deadline."""
        self._wait_for_turn(len(package))
        body = b"\n".join(package)  # lines rather than an array: a broken one breaks no other
        until = time.monotonic() + self._deadline
        while True:
            began = time.monotonic()
            why, wait = self._try(body, len(package), began)
            if why is None:
                return
            if began + wait > until:
                self._report.add_lost(len(package), f"gave up after {why}")
                return
            self._report.add_retry(why)
            time.sleep(wait)

    def _try(self, body: bytes, events: int, began: float) -> tuple[str | None, float]:
        """Sends it once. Returns None and 0, or why it must be sent again and the seconds to wait."""
        try:
            answer = self._session().post(self._url, data=body, headers=self._headers, timeout=60)
        except (requests.ConnectionError, requests.Timeout) as error:
            return type(error).__name__, 0.5
        if answer.status_code in (202, 422):
            self._report.add_answer(answer.json(), time.monotonic() - began)
        elif answer.status_code in _RETRIED_STATUSES:
            return str(answer.status_code), _retry_after(answer)
        else:
            self._report.add_lost(events, f"{answer.status_code} {_detail(answer)}")
        return None, 0.0

    def _wait_for_turn(self, events: int) -> None:
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + events * self._interval
        time.sleep(max(0.0, turn - time.monotonic()))

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
        session: requests.Session = self._sessions.session
        return session


def _retry_after(answer: requests.Response) -> float:
    """The seconds of `Retry-After`; 5 if it is a date, as some proxies send."""
    asked = answer.headers.get("Retry-After", "1")
    return min(_LONGEST_WAIT, float(asked) if asked.isdecimal() else 5.0)


def _detail(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason


def send_all(
    url: str,
    samples: Sequence[hp.testing.Sample],
    *,
    package: int,
    senders: int,
    key: str | None = None,
    rate: float | None = None,
    deadline: float = 60.0,
) -> Report:
    """Sends samples in packages from several senders at once.

    Args:
        url: where the API is.
        samples: what to send.
        package: events in a package.
        senders: packages sent at the same time.
        key: the API key.
        rate: events a second, all senders together; None for no limit.
        deadline: seconds until which a package is sent again.
    """
    report = Report()
    sender = Sender(url, key=key, rate=rate, deadline=deadline, report=report)
    lines = [sample.line for sample in samples]
    packages = [lines[start : start + package] for start in range(0, len(lines), package)]
    with ThreadPoolExecutor(senders) as threads:
        for _ in threads.map(sender.send, packages):
            pass
    return report


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the arguments."""
    parser = parser_for(__doc__, takes="URL [options]")
    add = parser.add_argument
    add("url", help="where the API is, e.g. http://127.0.0.1:8000")
    add("--events", type=int, default=1_000, help="how many to send (default: 1,000)")
    add("--package", type=int, default=20, help="events in a package (default: 20)")
    add("--senders", type=int, default=4, help="packages sent at the same time (default: 4)")
    add("--rate", type=above_zero, help="events a second, all senders together (default: no limit)")
    add("--faults", type=float, default=0.0, help="share of faulty events, 0 to 1 (default: 0)")
    add("--duplicates", type=float, default=0.0, help="share of messages sent a second time (default: 0)")
    add("--seed", type=int, default=1, help="another seed makes other events (default: 1)")
    add_deadline(parser, default=60.0, help_text="seconds until which a package is sent again (default: 60)")
    arguments = parser.parse_args(argv)
    if min(arguments.events, arguments.package, arguments.senders) < 1:
        parser.error("--events, --package and --senders must be more than 0")
    if not arguments.url.startswith(("http://", "https://")):
        parser.error("the URL looks like http://127.0.0.1:8000")
    return arguments


def print_report(report: Report, sent: int, seconds: float) -> None:
    """Prints what happened to the events."""
    took = sorted(report.seconds) or [0.0]
    print(f"{'sent':<32}{sent:>12,}")
    print(f"{'acknowledged':<32}{len(report.acknowledged):>12,}")
    print(f"{'  twice in one package':<32}{report.duplicates:>12,}")
    print(f"{'  different events':<32}{len(set(report.acknowledged)):>12,}")
    print(f"{'rejected':<32}{sum(report.rejected.values()):>12,}")
    for reason, number in report.rejected.most_common():
        print(f"  {reason:<30}{number:>12,}")
    print(f"{'packages sent again':<32}{sum(report.retried.values()):>12,}")
    for reason, number in report.retried.most_common():
        print(f"  {reason:<30}{number:>12,}")
    print(f"{'events/s':<32}{round(sent / seconds):>12,}")
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        print(f"{f'seconds a package, {name}':<32}{took[min(len(took) - 1, int(len(took) * share))]:>12.3f}")


def run(arguments: argparse.Namespace) -> int:
    """Sends everything, and reports."""
    samples = hp.testing.sample_events(
        arguments.events, seed=arguments.seed, faults=arguments.faults, duplicates=arguments.duplicates
    )
    began = time.monotonic()
    report = send_all(
        arguments.url,
        samples,
        package=arguments.package,
        senders=arguments.senders,
        key=os.environ.get("HOLDED_API_KEY"),
        rate=arguments.rate,
        deadline=arguments.deadline,
    )
    print_report(report, arguments.events, time.monotonic() - began)
    if report.lost:
        print_status(f"error: {report.lost:,} events were not accepted; see the reasons above")
    return 1 if report.lost else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every event was acknowledged, or rejected for its own fault."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return exit_code_of(partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
