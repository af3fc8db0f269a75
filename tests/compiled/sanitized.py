"""Runs the code in C with gcc's sanitizers on changed records, and compares what it gives with what Python gives.

    python tests/compiled/sanitized.py --seconds 60 --seed 1

It builds the modules with AddressSanitizer and UBSan into a copy of the package, and starts itself with them. An access
outside a record ends the process with a report. Needs gcc and its libasan and libubsan.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import holded_pipeline as hp
from holded_pipeline.compiled import compiled
from holded_pipeline.enriching import document_fields
from holded_pipeline.enriching.builtin_verdicts import RatedEvent
from holded_pipeline.enriching.quality import RuleVerdict
from holded_pipeline.enriching.quality_rules import RULES
from holded_pipeline.model.carried_text import ReadObject, data_of, data_text, make_entry, source_text, with_entries
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.holded_envelope import holded
from holded_pipeline.reading.records import RecordReader

ROOT = Path(__file__).resolve().parents[2]
SANITIZERS = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
TOKENS = [
    b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"0", b"-", b".", b"e", b"/", b" ", b"\t", b"\n", b"\0", b"\xc3",
    b"\xff", b"\xed\xa0\x80", b"\\u", b"\\u00", b"null", b"tru", b"1e5", b'"id":', b'"data":', b'"event":{',
    b'"sender":"x",', b'"a":{"date":"2026-01-01","currency":"EUR"},',
]  # fmt: skip
VALUES = [
    b'{"a":"\\ud83d\\ude00 \\/ \\u00e9","n":-0.0,"m":1.5e3}', b"[[],{},[1,2.50,-0]]", b'"\xf0\x9f\x98\x80"',
    b"12345678901234567890", b"1e400", b'"\\u0000"', b'"\\ud800"', b'{"a":1,"a":2}', b"null", b"true", b'""',
    b'"2026-02-30T10:00:00Z"', b'"2026-02-28T10:00:00.123+02:00"', b"-1", b"9999999999999",
]  # fmt: skip


def build_and_start(arguments: list[str]) -> int:
    """Builds the modules, and runs `compare` in a process that has the sanitizers."""
    with tempfile.TemporaryDirectory(prefix="sanitized-") as folder:
        place = Path(folder)
        shutil.copytree(ROOT / "holded_pipeline", place / "holded_pipeline", ignore=shutil.ignore_patterns("*.so"))
        os.environ |= {"CFLAGS": SANITIZERS, "LDFLAGS": SANITIZERS}
        spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
        assert spec is not None
        assert spec.loader is not None
        hook = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(hook)
        for module in hook.compile_modules(ROOT, place / "built"):
            shutil.copy(module, place / "holded_pipeline" / "compiled" / module.name)
        libraries = [library_of(name) for name in ("libasan.so", "libubsan.so")]
        variables = {
            **os.environ,
            "PYTHONPATH": folder,
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",  # what lives as long as Python does is none
            "PYTHONMALLOC": "malloc",
        }
        return subprocess.call([sys.executable, __file__, "--compare", *arguments], env=variables)


def library_of(name: str) -> str:
    """Where gcc has a library."""
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def changed(raw: bytes, choose: random.Random) -> bytes:
    """A record with up to three changes."""
    text = bytearray(raw)
    for _ in range(choose.choice([0, 1, 1, 1, 2, 3])):
        at, how = choose.randrange(len(text) + 1), choose.random()
        if how < 0.3:
            text[at : at + 1] = choose.choice(TOKENS)
        elif how < 0.5:
            text[at:at] = choose.choice(TOKENS)
        elif how < 0.6:
            del text[at : at + choose.randrange(1, 40)]
        elif how < 0.7:
            del text[at:]
        elif how < 0.8:
            start = choose.randrange(len(text) + 1)
            text[at:at] = text[start : start + choose.randrange(60)]
        elif places := [place for place in range(len(text)) if text[place : place + 2] == b'":']:
            start = end = choose.choice(places) + 2
            while end < len(text) and text[end : end + 1] not in b",}":
                end += 1
            text[start:end] = choose.choice(VALUES)
        text = text or bytearray(b"{")
    return bytes(text)


def verdicts_of_rules(event: hp.Event, collected: object) -> tuple[RuleVerdict, ...]:
    """What each rule by itself says."""
    rated = RatedEvent(data_of(event), event.occurred_at, {"collected_at": collected}, event.user_id, event.company_id)
    return tuple(rule.check(rated) for rule in RULES)


def compare(seconds: float, seed: int) -> None:
    """Compares for so long; raises AssertionError at the first difference."""
    reading, lines, fields = map(compiled, ("common_message", "event_lines", "quality_fields"))
    assert not Path(reading.__file__).is_relative_to(ROOT)
    position, ids, source = (ReadObject("b", "k", "e"), 3, None), PackageIds("b", "k", "e"), hp.Source("b", "k", "e", 3)
    careful = RecordReader(holded, max_record_bytes=1 << 24, max_depth=100)
    samples = [sample.line for sample in hp.testing.sample_events(500, seed=seed, wrapped=0.4)]
    choose, end, tried, read = random.Random(seed), time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        raw = changed(choose.choice(samples), choose)
        tried += 1
        event = reading.read_common_message(raw, position, ids, 100)
        if event is None:
            continue
        read += 1
        data_text(event)
        data = dict(event.__dict__["_data"])
        in_c, in_python = fields.scan_fields(data), document_fields.scan_fields(data)
        assert (in_c is None) == (in_python is None), raw
        assert in_c is None or (in_c[:2], set(in_c[2]), in_c[3]) == (in_python[:2], set(in_python[2]), in_python[3]), (
            raw
        )
        collected = choose.choice([None, "2026-01-12T05:25:14Z", event.occurred_at.isoformat(), 5])
        passed = fields.passed_verdicts(event, data, collected)
        expected_verdicts = verdicts_of_rules(event, collected)
        assert passed is None or passed == expected_verdicts, raw
        assert lines.origin_of(event) in (None, b"%b%b\n" % (source_text(event), repr(event.id).encode())), raw
        scored = with_entries(event, {"quality": make_entry("quality", {"score": choose.choice([0.5, 1.0, None, 1])})})
        lines.event_line(scored)
        json.loads(lines.encode_event_line(scored))
        expected = careful.read(Record(raw, 3), source)
        assert repr(data) == repr(expected.data), raw
        assert event == expected, raw
    print(f"{tried:,} records, of which C read {read:,}: all as Python reads them")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        compare(options.seconds, options.seed)
    else:
        sys.exit(build_and_start(sys.argv[1:]))
