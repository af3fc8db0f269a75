"""Rejections: how they are made, encoded, selected and counted, and how many a run may have.

Pure functions and values; `transforms` reads and writes the store.
"""
