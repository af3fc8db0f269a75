"""The temporary folder of a pipeline, removed also where Beam leaves it behind."""

from __future__ import annotations

import os
import shutil
import weakref

import apache_beam as beam

_known: weakref.WeakSet[beam.Pipeline] = weakref.WeakSet()


def remove_folder_with(pipeline: beam.Pipeline) -> None:
    """Removes the folder when the pipeline is forgotten, at the latest when the process ends.

    Beam makes an empty folder for every pipeline, for the files of transforms in other languages, and removes it when
    the pipeline has run. It stays if the pipeline is never run, if a transform after the first raises, and in IPython.
    """
    if pipeline not in _known:
        _known.add(pipeline)
        weakref.finalize(pipeline, _remove, pipeline.local_tempdir, os.getpid())


def _remove(folder: str, process_id: int) -> None:
    if os.getpid() == process_id:  # a forked child ends before its parent, which may need the folder
        shutil.rmtree(folder, ignore_errors=True)
