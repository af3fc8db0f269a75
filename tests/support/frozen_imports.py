"""The last import of a process from which others are forked: the collector of none of them scans what is there."""

from __future__ import annotations

import gc

gc.collect()
gc.freeze()
