"""Beam only: one file per transform. `expand` wires; the logic lives in `core`."""
