"""WriteMinIO: writes elements as JSON lines to a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apache_beam as beam

from holded_pipeline.compiled import compiled
from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import data_text, metadata_text, occurred_text, source_text
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import Event
from holded_pipeline.store.compression import Compression
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.object_names import Partition, partition_template
from holded_pipeline.transforms.beam.accounted import Sink, ledgers_read, remember_sink
from holded_pipeline.transforms.beam.event_batches import comes_in_batches
from holded_pipeline.transforms.beam.inputs import require_collection, require_events
from holded_pipeline.transforms.beam.pickling import check_function_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.beam.share_of_run import attempt_of
from holded_pipeline.transforms.workers.write_objects import (
    ObjectSettings,
    WriteEventBatches,
    WriteObjects,
    WriteWindowedObjects,
    WrittenObject,
)
from holded_pipeline.user_code.functions import require_function

_BY_DATE = "date={date}"
_in_c: Final = compiled("event_lines")


class WriteMinIO(beam.PTransform):
    """Writes elements as JSON lines to any S3-compatible store.

    Takes a PCollection of `Event`, or with `encode` of any type, and returns a PCollection of `WrittenObject`
    (key, etag, records, bytes).

    Args:
        lake: the store and its bucket.
        prefix: what all keys begin with, e.g. `enriched/`.
        partition: the folder of an element below the prefix: a template over `{date}`, `{hour}`, `{month}` (of the
            event's time, UTC), `{type}`, `{type_name}` and `{company_id}`, a function `(element) -> str`, or None. A
            template needs events, so with `encode` it is not allowed, and the default is None.
        encode: a function `(element) -> bytes` that makes one line, without its end; by default an event's JSON
            form, which `ReadMinIO(envelope="event")` reads back.
        compression: `gzip`, `zstd` or None.
        object_bytes: an object is stored when it has this many bytes, compressed.
        object_seconds: an object is also stored when it is this old and another element arrives.
        buffer_bytes: the limit for all objects of one worker together: an eighth of it for those that are stored while
            others are being filled, the rest for open ones.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     written = raw.passed | hp.WriteMinIO(lake, "copies/", partition="{type_name}/{date}")

    Raises:
        ValueError: an argument is wrong.
        ConfigurationError: (running) the bucket, the keys or the endpoint are wrong.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** an object appears whole or not at all. Each element is in at least one object. The name of an object
    has the run's id and a digest of the step, the window and every line, so different objects never overwrite each
    other; a bundle that is retried with the same events replaces its objects. No order across objects. Parallel over
    bundles.
    """

    def __init__(
        self,
        lake: MinIO,
        prefix: str,
        *,
        partition: str | Partition | None = _BY_DATE,
        encode: Callable[[Any], bytes] | None = None,
        compression: Compression | None = "gzip",
        object_bytes: int = 32 << 20,
        object_seconds: float = 60.0,
        buffer_bytes: int = 128 << 20,
    ) -> None:
        super().__init__()
        require_minio(lake, "WriteMinIO")
        if encode is not None and isinstance(partition, str):
            if partition != _BY_DATE:
                raise ValueError("with encode=, partition must be a function or None: a template is for events")
            partition = None
        for name, function, form in (
            ("encode", encode, "(element) -> bytes"),
            ("partition", None if isinstance(partition, str) else partition, "(element) -> str, or a template"),
        ):
            if function is not None:
                require_function(function, name, form)
        self._user_functions = {"encode": encode, "partition": None if isinstance(partition, str) else partition}
        self._lake = lake
        self._encode = encode_event_line if encode is None else _SingleLineEncoder(encode)
        self._settings = ObjectSettings(
            prefix=prefix,
            partition=partition_template(partition) if isinstance(partition, str) else partition,
            compression=compression,
            object_bytes=object_bytes,
            object_seconds=object_seconds,
            buffer_bytes=buffer_bytes,
        )

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """One ParDo: elements are written on the worker that has them, without a shuffle."""
        require_input = require_events if self._encode is encode_event_line else require_collection
        require_input(elements, "WriteMinIO")
        for name, function in self._user_functions.items():
            check_function_picklable(function, f"{name} function")
        in_global = WriteEventBatches if comes_in_batches(elements) else WriteObjects
        kind = in_global if elements.windowing.is_default() else WriteWindowedObjects
        write = kind(
            self._lake,
            self._encode,
            self._settings,
            run_id=run_id_of(elements.pipeline),
            step=step_of(elements.pipeline),
            stage="write_minio",
            attempt=_attempt_in_names(elements.pipeline),
        )
        written = elements | "WriteObjects" >> beam.ParDo(write).with_output_types(WrittenObject)
        remember_sink(written, Sink("events", step_of(elements.pipeline), self._lake, self._settings.prefix))
        return written


def _attempt_in_names(pipeline: beam.Pipeline) -> str:
    """Of a share that is settled, the attempt: its manifest then names objects that no other attempt overwrites."""
    attempt = attempt_of(pipeline)
    return attempt.name if attempt is not None and ledgers_read(pipeline) else ""


class _SingleLineEncoder:
    """A user's `encode` with its result validated; an object, not a closure, so that it is pickled by reference."""

    def __init__(self, encode: Callable[[Any], Any]) -> None:
        self._encode = encode

    def __call__(self, element: Any) -> bytes:
        line = self._encode(element)
        if not isinstance(line, bytes) or b"\n" in line:
            what = "several lines" if isinstance(line, bytes) else type(line).__name__
            raise ConfigurationError(f"the function encode returned {what}; it must return the bytes of one line")
        return line


def encode_event_line(event: Event) -> bytes:
    """The line of an event, without its end: `event_document` as JSON, with the text that the event carries.

    Raises:
        TypeError: its data or metadata have a value that JSON has no form for, such as NaN.
    """
    if _in_c is not None:
        line: bytes | None = _in_c.encode_event_line(event)
        if line is not None:
            return line
    head = json_codec.encode(
        {
            "id": event.id,
            "type": event.type,
            "company_id": event.company_id,
            "user_id": event.user_id,
            "occurred_at": occurred_text(event),
        }
    )
    texts = (head[:-1], data_text(event), metadata_text(event), source_text(event))
    return b'%b,"data":%b,"metadata":%b,"source":%b}' % texts
