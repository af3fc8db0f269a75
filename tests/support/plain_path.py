"""A mark for tests that let Beam start worker processes."""

from __future__ import annotations

import shlex
import sys

import pytest

needs_plain_path = pytest.mark.skipif(
    shlex.split(sys.executable) != [sys.executable],
    reason="Beam starts worker processes by a shell, without quotes around the path of Python, which has a space here",
)
