"""The spool keeps what it acknowledged: in order, once, on a disk that fails, fills up or is shared."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from holded_pipeline.api.collecting import spool_drain
from holded_pipeline.api.collecting.spool import SPOOLED, Spool, SpoolingStore
from holded_pipeline.api.collecting.spool_folder import SpoolFolder
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.model.errors import ConfigurationError, TransientError


class SwitchedStore:
    """A write function with the objects that it was given, which fails while `error` is set, or for one key."""

    def __init__(self, error=None):
        self.error = error
        self.bad_key = None
        self.objects = []
        self.seconds = 0.0

    def check(self):
        if isinstance(self.error, TransientError):
            raise self.error

    def __call__(self, key, body):
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        if key == self.bad_key:
            raise ConfigurationError("EntityTooLarge")
        self.objects.append((key, body))


AWAY = TransientError("the store did not answer")


@pytest.fixture
def spooling(tmp_path, request, monkeypatch):
    """`spooling(store)`: an open `SpoolingStore` before it, over one folder for all of a test."""
    monkeypatch.setattr(spool_drain, "_PROBE_SECONDS", 0.05)
    monkeypatch.setattr(spool_drain, "_SCAN_SECONDS", 0.1)

    def opened(store, *, folder=tmp_path / "spool", max_bytes=1 << 20, **fsync):
        spool = Spool(folder, max_bytes=max_bytes, after=0.5)
        found = SpoolingStore(spool, "b", write=store, drain_write=store, check=store.check, metrics=Metrics(), **fsync)
        found.open()
        request.addfinalizer(found.close)
        return found

    return opened


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def files_of(folder, ending=".group"):
    return sorted(folder.glob(f"*/*{ending}"))


def test_groups_are_stored_in_order_under_their_keys_when_the_store_is_back(spooling, tmp_path):
    store = SwitchedStore(AWAY)
    spool = spooling(store)
    groups = [(f"raw/hour=09/{n}", b"%d\n" % n * n) for n in range(20)]
    assert [spool.write(key, body) for key, body in groups] == [SPOOLED] * 20
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert spool.write("raw/last", b"last\n") is None
    assert store.objects == [*groups, ("raw/last", b"last\n")]
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_its_files_are_for_their_owner_alone(spooling, tmp_path):
    spool = spooling(SwitchedStore(AWAY))
    spool.write("k", b"personal\n")
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "spool").rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_what_the_store_rejects_is_not_spooled(spooling, tmp_path):
    spool = spooling(SwitchedStore(ConfigurationError("NoSuchBucket")))
    with pytest.raises(ConfigurationError, match="NoSuchBucket"):
        spool.write("k", b"a\n")
    assert files_of(tmp_path / "spool") == []


def test_a_store_that_rejects_what_was_spooled_is_no_reason_to_spool_more(spooling):
    store = SwitchedStore(AWAY)
    spool = spooling(store)
    spool.write("k1", b"a\n")
    store.error = ConfigurationError("AccessDenied")
    until(lambda: spool.drain.is_refused)
    with pytest.raises(ConfigurationError, match="AccessDenied"):
        spool.write("k2", b"b\n")
    with pytest.raises(ConfigurationError, match="rejects what is in the spool"):
        spool.require_store()
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert store.objects == [("k1", b"a\n")]


@pytest.mark.parametrize("others", ["before it", "behind it"])
def test_one_group_that_is_not_taken_does_not_hold_up_the_others(spooling, others, caplog):
    store = SwitchedStore(AWAY)
    spool = spooling(store)
    store.bad_key = "bad"
    spool.write("bad", b"a\n")
    if others == "behind it":
        spool.write("good", b"b\n")
    store.error = None
    until(lambda: spool.drain.is_refused or store.objects)
    if others == "before it":  # it goes past the spool
        assert spool.write("good", b"b\n") is None
    until(lambda: spool.backlog.groups_set_aside == 1)
    assert ("good", b"b\n") in store.objects
    assert "is set aside, since it is not stored while others are: ConfigurationError: EntityTooLarge" in caplog.text
    assert spool.write("next", b"c\n") is None


def test_a_full_spool_takes_nothing_more_and_keeps_what_it_has(spooling):
    store = SwitchedStore(AWAY)
    spool = spooling(store, max_bytes=2_500)
    accepted = []
    for number in range(2):
        spool.write(f"k{number}", b"x" * 900)
        accepted.append(f"k{number}")
    with pytest.raises(TransientError, match=r"is full: it has .* of 2,500 bytes; see that the store answers"):
        spool.write("k2", b"x" * 900)
    assert not spool.has_room()
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert [key for key, _ in store.objects] == accepted
    assert spool.has_room()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged(spooling, small_disk):
    store = SwitchedStore(AWAY)
    spool = spooling(store, folder=small_disk)
    accepted, rejected = [], []
    for number in range(12):
        try:
            spool.write(f"k{number}", b"x" * 40_000)
        except TransientError as error:
            rejected.append(error)
        else:
            accepted.append(f"k{number}")
    assert 4 <= len(accepted) <= 6
    assert all("cannot take the events: [Errno 28] No space left" in str(error) for error in rejected)
    assert not spool.has_room()
    assert files_of(small_disk, ".part") == []
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert [key for key, _ in store.objects] == accepted
    store.error = AWAY
    assert spool.write("again", b"x" * 40_000) == SPOOLED
    store.error = None
    until(lambda: store.objects[-1][0] == "again")


@pytest.mark.parametrize("failing", [1, 2], ids=["the file's", "the folder's"])
def test_a_failed_sync_is_never_acknowledged(spooling, tmp_path, failing):
    # The only injected failure of a disk here: a device that fails to sync cannot be had without a kernel module.
    syncs = []

    def fsync(file):
        syncs.append(file)
        if count := getattr(fsync, "failing", 0):
            fsync.failing = count - 1
            if count == 1:
                raise OSError(5, "Input/output error")
        os.fsync(file)

    store = SwitchedStore(AWAY)
    spool = spooling(store, fsync=fsync)
    fsync.failing = failing
    with pytest.raises(TransientError, match="cannot take the events: .*Input/output error"):
        spool.write("k1", b"a\n")
    assert files_of(tmp_path / "spool") + files_of(tmp_path / "spool", ".part") == []
    assert spool.write("k2", b"b\n") == SPOOLED
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert store.objects == [("k2", b"b\n")]


def test_damaged_events_are_kept_and_reported_and_the_others_stored(spooling, tmp_path, caplog):
    store = SwitchedStore(AWAY)
    spool = spooling(store)
    for number in range(4):
        spool.write(f"k{number}", b"events\n")
    flipped, cut, gone, _ = files_of(tmp_path / "spool")
    flipped.write_bytes(flipped.read_bytes().replace(b"events", b"eventS"))
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    store.error = None
    until(lambda: spool.backlog.groups == 0)
    assert store.objects == [("k3", b"events\n")]
    kept = [flipped.with_suffix(".damaged"), cut.with_suffix(".damaged")]
    assert files_of(tmp_path / "spool", ".damaged") == kept
    for path in (*kept, gone):
        assert f"acknowledged events in the spool file {path} cannot be stored" in caplog.text
    assert spool.drain.damaged == 3


def test_a_folder_in_use_is_left_alone_and_one_that_was_left_is_drained(spooling, tmp_path):
    first_store, second_store = SwitchedStore(AWAY), SwitchedStore()
    first = spooling(first_store)
    first.write("k1", b"a\n")
    second = spooling(second_store)
    assert second.backlog.groups == 0
    part = next((tmp_path / "spool").glob("*/*.group")).with_suffix(".part")
    part.write_bytes(b"half of a gro")  # as a kill leaves it
    first.close()
    third = spooling(SwitchedStore(AWAY), folder=tmp_path / "spool")
    assert third.backlog.groups == 1
    assert not part.exists()
    third.close()
    until(lambda: second_store.objects == [("k1", b"a\n")])
    second.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_folders_of_other_buckets_and_of_other_users_are_left_alone(spooling, tmp_path, caplog):
    root = tmp_path / "spool"
    spool = spooling(SwitchedStore(AWAY))
    spool.write("k", b"a\n")
    name = files_of(root)[0].name
    content = files_of(root)[0].read_bytes()
    for folder, mode in (("other.abc", 0o700), ("b.open", 0o777), ("b.c.abc", 0o700)):
        (root / folder).mkdir()
        (root / folder / name).write_bytes(content)
        (root / folder).chmod(mode)
    second = spooling(SwitchedStore())
    assert second.backlog.groups == 0
    assert f"the spool folder {root / 'b.open'} is not used" in caplog.text


@pytest.mark.parametrize("wrong", ["a file", "removed later"])
def test_a_folder_that_cannot_be_used_is_named(spooling, tmp_path, wrong):
    folder = tmp_path / "folder"
    if wrong == "a file":
        folder.write_text("")
        with pytest.raises(ConfigurationError, match=rf"the spool folder {folder} cannot be used: .*Not a directory"):
            spooling(SwitchedStore(), folder=folder)
        return
    spool = spooling(SwitchedStore(AWAY), folder=folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(TransientError, match="cannot take the events"):
        spool.write("k", b"a\n")
    assert not spool.has_room()


def test_the_backlog_shrinks_to_nothing_while_events_keep_coming(spooling):
    store = SwitchedStore(AWAY)
    spool = spooling(store)
    for number in range(100):
        spool.write(f"old{number:03}", b"a\n")
    stop = threading.Event()
    direct = []

    def send(sender):
        for number in range(10_000):
            if stop.is_set():
                return
            if spool.write(f"new{sender}-{number:05}", b"b\n") is None:
                direct.append(number)

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    store.seconds, store.error = 0.003, None  # slower than the disk is
    for sender in senders:
        sender.start()
    try:
        until(lambda: direct)
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    until(lambda: spool.backlog.groups == 0)
    keys = [key for key, _ in store.objects]
    assert keys[:100] == [f"old{number:03}" for number in range(100)]
    assert len(set(keys)) == len(keys)
    for sender in range(4):
        own = [key for key in keys if key.startswith(f"new{sender}")]
        assert own == sorted(own)


def test_names_stay_in_order_when_the_clock_is_set_back(tmp_path, monkeypatch):
    folder = SpoolFolder.create(tmp_path, "b")
    names = [folder.add(b"1")]
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    names += [folder.add(b"2"), folder.add(b"3")]
    assert names == sorted(set(names))
    folder.close()
    (left,) = SpoolFolder.take_over(tmp_path, "b")
    assert left.add(b"4") > names[-1]
    assert Path(left.path).name.startswith("b.")
    left.close()
