"""The supervisor of worker processes, over processes that do nothing but end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time

import pytest

import holded_pipeline as hp
from holded_pipeline.api.serving import supervisor
from holded_pipeline.api.serving.supervisor import StartedWorker, Supervisor

FORK = multiprocessing.get_context("fork")  # these do nothing, so it is enough


@pytest.fixture(autouse=True)
def _no_signal_ends_the_tests():
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def work(ready, seconds, code):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(7))
    ready.send(True)
    time.sleep(seconds)
    os._exit(code)


class Workers:
    """Starts workers, and notes which."""

    def __init__(self, seconds=60.0, code=0, target=work):
        self.started = []
        self.processes = []
        self._arguments = (seconds, code)
        self._target = target

    def start(self, number, is_replacement):
        self.started.append((number, is_replacement))
        receiving, sending = FORK.Pipe(duplex=False)
        process = FORK.Process(target=self._target, args=(sending, *self._arguments))
        process.start()
        sending.close()
        self.processes.append(process)
        return StartedWorker(process, receiving)


def send_after(seconds, *numbers):
    def send():
        for number in numbers:
            time.sleep(seconds)
            os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_workers_and_sighup_none(number):
    workers, closed = Workers(), []
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    send_after(0.3, signal.SIGHUP, number)
    assert Supervisor(workers.start, 3).run(lambda: closed.append(True)) == number
    assert [process.exitcode for process in workers.processes] == [0, 0, 0]
    assert closed == [True]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers


def test_a_worker_that_ends_at_once_is_replaced_later_and_later(caplog):
    workers = Workers(seconds=0.0, code=5)
    send_after(2.2, signal.SIGTERM)  # after 0.5 s, after 1 s more, and not yet after 2 s more
    with caplog.at_level(logging.WARNING):
        Supervisor(workers.start, 1).run(lambda: None)
    assert workers.started == [(0, False), (0, True), (0, True)]
    assert [record.message.partition("ended ")[2] for record in caplog.records] == [
        f"with exit code 5; another one starts in {seconds} s" for seconds in ("0.5", "1", "2")
    ]


def test_a_worker_that_the_system_cannot_start_ends_none_of_the_others(caplog):
    workers = Workers()

    def start(number, is_replacement):
        if number == 1 and not failures:
            failures.append(number)
            raise OSError(24, "Too many open files")
        return workers.start(number, is_replacement)

    failures = []
    send_after(1.5, signal.SIGTERM)  # it is tried again after 0.5 s
    with caplog.at_level(logging.WARNING):
        Supervisor(start, 3).run(lambda: None)
    assert sorted(workers.started) == [(0, False), (1, False), (2, False)]
    assert [process.exitcode for process in workers.processes] == [0, 0, 0]
    [record] = caplog.records
    assert "worker 1 cannot be started: [Errno 24] Too many open files; it is tried again in 0.5 s" in record.message


def test_a_worker_that_was_never_ready_is_not_replaced_at_once(caplog, monkeypatch):
    monkeypatch.setattr(supervisor, "_STABLE_SECONDS", 0.0)  # as if its start had taken longer than that
    workers = Workers()

    def start(number, is_replacement):
        workers._target = work_that_fails if number else work
        return workers.start(number, is_replacement)

    send_after(1.0, signal.SIGTERM)
    with caplog.at_level(logging.WARNING):
        Supervisor(start, 2).run(lambda: None)
    assert workers.started == [(0, False), (1, False), (1, True)]
    assert "another one starts in 0.5 s" in caplog.records[0].message


def test_a_second_ctrl_c_reaches_the_workers():
    workers = Workers(target=work_without_end)
    send_after(0.4, signal.SIGINT, signal.SIGINT)
    Supervisor(workers.start, 1).run(lambda: None)
    assert workers.processes[0].exitcode == 7


def work_without_end(ready, seconds, code):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda *_: os._exit(7))
    ready.send(True)
    time.sleep(seconds)


def test_a_first_worker_that_does_not_start_ends_it_all():
    workers = Workers(target=work_that_fails)
    with pytest.raises(hp.ConfigurationError, match="ended with exit code 3 before it was ready"):
        Supervisor(workers.start, 4).run(lambda: None)
    assert len(workers.started) == 1


def work_that_fails(*_):
    os._exit(3)
