"""Sends sample events to a running ingestion API, and tells what became of each.

    python examples/send_events.py http://127.0.0.1:8000 --events 10000
    python examples/send_events.py http://127.0.0.1:8000 --events 5000 --package 50 --senders 4 --rate 500 --faults 0.05

The API key comes from the environment variable HOLDED_API_KEY. A package that is answered with 429 or 503, or not
at all, is sent again as it is, after the time that the answer asks for.
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
from own_servers import above_zero, parser_for
from plain_errors import plainly, say

import holded_pipeline as hp

_AGAIN = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0


@attrs.define
class Report:
    """What became of the events.

    Attributes:
        acknowledged: ids of the events that the API has accepted; a message sent twice has one.
        refused: events the API has not accepted, by reason.
        lost: events that were given up.
        again: packages that were sent again, by the status or error that asked for it.
        seconds: how long each package took.
    """

    acknowledged: list[str] = attrs.field(factory=list)
    refused: Counter[str] = attrs.field(factory=Counter)
    lost: int = 0
    again: Counter[str] = attrs.field(factory=Counter)
    seconds: list[float] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def add(self, answer: dict[str, Any], seconds: float) -> None:
        """A package's answer."""
        with self._lock:
            self.acknowledged += [accepted["event_id"] for accepted in answer["accepted"]]
            self.refused.update(rejected["reason"] for rejected in answer["rejected"])
            self.seconds.append(seconds)

    def tried_again(self, why: str) -> None:
        """A package has to be sent again."""
        with self._lock:
            self.again[why] += 1

    def gave_up(self, events: int, why: str) -> None:
        """A package was not accepted."""
        with self._lock:
            self.lost += events
            self.refused[why] += events


class Sender:
    """Sends packages, each until it is answered for good, at a rate that all senders share."""

    def __init__(self, url: str, *, key: str | None, rate: float | None, patience: float, report: Report) -> None:
        self._url = f"{url.rstrip('/')}/collect"
        self._headers = {"Content-Type": "application/x-ndjson"} | ({"X-API-Key": key} if key else {})
        self._interval = 0.0 if rate is None else 1 / rate
        self._patience = patience
        self._report = report
        self._sessions = threading.local()
        self._lock = threading.Lock()
        self._next = time.monotonic()

    def send(self, package: Sequence[bytes]) -> None:
        """Sends one package of documents, again if need be."""
        self._wait_for_turn(len(package))
        body = b"\n".join(package)  # lines rather than an array: a broken one breaks no other
        until = time.monotonic() + self._patience
        while True:
            began = time.monotonic()
            why, wait = self._try(body, len(package), began)
            if why is None:
                return
            if began + wait > until:
                self._report.gave_up(len(package), f"gave up after {why}")
                return
            self._report.tried_again(why)
            time.sleep(wait)

    def _try(self, body: bytes, events: int, began: float) -> tuple[str | None, float]:
        """None if it is answered for good; else why not, and the seconds to wait."""
        try:
            answer = self._session().post(self._url, data=body, headers=self._headers, timeout=60)
        except (requests.ConnectionError, requests.Timeout) as error:
            return type(error).__name__, 0.5
        if answer.status_code in (202, 422):
            self._report.add(answer.json(), time.monotonic() - began)
        elif answer.status_code in _AGAIN:
            return str(answer.status_code), _wait_of(answer)
        else:
            self._report.gave_up(events, f"{answer.status_code} {_detail(answer)}")
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


def _wait_of(answer: requests.Response) -> float:
    """The seconds that the answer asks to wait; a proxy's date is taken for some."""
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
    patience: float = 60.0,
) -> Report:
    """Sends samples in packages from several senders at once.

    Args:
        url: where the API is.
        samples: what to send.
        package: events in a package.
        senders: packages under way at one time.
        key: the API key.
        rate: events a second, all senders together; None for as many as there go.
        patience: seconds that one package is tried for.
    """
    report = Report()
    sender = Sender(url, key=key, rate=rate, patience=patience, report=report)
    lines = [sample.line for sample in samples]
    packages = [lines[start : start + package] for start in range(0, len(lines), package)]
    with ThreadPoolExecutor(senders) as threads:
        for _ in threads.map(sender.send, packages):
            pass
    return report


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments."""
    parser = parser_for(__doc__, takes="URL [options]")
    add = parser.add_argument
    add("url", help="where the API is, e.g. http://127.0.0.1:8000")
    add("--events", type=int, default=1_000, help="how many to send (default: 1,000)")
    add("--package", type=int, default=20, help="events in a package (default: 20)")
    add("--senders", type=int, default=4, help="packages under way at one time (default: 4)")
    add("--rate", type=above_zero, help="events a second, all senders together (default: as many as there go)")
    add("--faults", type=float, default=0.0, help="share of faulty events, 0 to 1 (default: 0)")
    add("--duplicates", type=float, default=0.0, help="share of messages sent a second time (default: 0)")
    add("--seed", type=int, default=1, help="other seeds make other events (default: 1)")
    add("--patience", type=above_zero, default=60.0, help="seconds that one package is tried for (default: 60)")
    arguments = parser.parse_args(argv)
    if min(arguments.events, arguments.package, arguments.senders) < 1:
        parser.error("--events, --package and --senders are more than 0")
    if not arguments.url.startswith(("http://", "https://")):
        parser.error("the URL looks like http://127.0.0.1:8000")
    return arguments


def print_report(report: Report, sent: int, seconds: float) -> None:
    """What became of the events."""
    took = sorted(report.seconds) or [0.0]
    print(f"{'sent':<32}{sent:>12,}")
    print(f"{'acknowledged':<32}{len(report.acknowledged):>12,}")
    print(f"{'  different events':<32}{len(set(report.acknowledged)):>12,}")
    print(f"{'refused':<32}{sum(report.refused.values()):>12,}")
    for reason, number in report.refused.most_common():
        print(f"  {reason:<30}{number:>12,}")
    print(f"{'packages sent again':<32}{sum(report.again.values()):>12,}")
    for reason, number in report.again.most_common():
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
        patience=arguments.patience,
    )
    print_report(report, arguments.events, time.monotonic() - began)
    if report.lost:
        say(f"error: {report.lost:,} events were not accepted; the reasons stand above")
    return 1 if report.lost else 0


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every event was acknowledged or refused for its own fault."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return plainly(partial(run, arguments))


if __name__ == "__main__":
    sys.exit(main())
