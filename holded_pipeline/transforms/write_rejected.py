"""WriteRejected: what was refused, kept where it can be understood and sent again."""

from __future__ import annotations

from collections.abc import Iterable

import apache_beam as beam

from holded_pipeline.clients.minio import MinIO
from holded_pipeline.core import json_codec
from holded_pipeline.core.object_buffers import Compression
from holded_pipeline.core.object_names import rejected_partition
from holded_pipeline.core.rejections import to_document
from holded_pipeline.core.values import Rejected
from holded_pipeline.transforms.outcome import in_the_global_window
from holded_pipeline.transforms.run_id import run_id_of
from holded_pipeline.transforms.write_objects import ObjectSettings, WriteObjects, WrittenObject


class WriteRejected(beam.PTransform):
    """Writes rejected records as JSON lines, filed by stage and day: `stage=validate/date=2026-11-23/…`.

    Takes a PCollection of `Rejected`, or a tuple of them, and gives a PCollection of `WrittenObject`. It can be
    the consumer of Beam's `ErrorHandler`.

    Args:
        lake: the store and its bucket.
        prefix: what all keys begin with, e.g. `rejected/`.
        compression: `gzip`, `zstd` or None.
        object_bytes: an object is stored when it has this many bytes, compressed.
        object_seconds: or when it is this old and another record comes.

    Raises:
        ConfigurationError: (running) the bucket, the keys or the endpoint are wrong.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** as `WriteMinIO`; each line fits `rejected.schema.json`, which ships with the package, and holds
    the original record to the byte.
    """

    def __init__(
        self,
        lake: MinIO,
        prefix: str,
        *,
        compression: Compression | None = "gzip",
        object_bytes: int = 32 << 20,
        object_seconds: float = 60.0,
    ) -> None:
        super().__init__()
        self._lake = lake
        self._settings = ObjectSettings(
            prefix=prefix,
            partition=rejected_partition,
            compression=compression,
            object_bytes=object_bytes,
            object_seconds=object_seconds,
            buffer_bytes=4 * object_bytes,
        )

    def expand(self, rejected: beam.PCollection | Iterable[beam.PCollection]) -> beam.PCollection:
        """Joins what it is given and writes it where it is."""
        if isinstance(rejected, beam.PCollection):
            joined = rejected
        else:
            unwindowed = [
                in_the_global_window(each, f"ToGlobalWindow{place}") for place, each in enumerate(rejected, 1)
            ]
            joined = tuple(unwindowed) | "JoinRejected" >> beam.Flatten()
        write = WriteObjects(
            self._lake,
            encode_rejected,
            self._settings,
            run_id=run_id_of(joined.pipeline),
            stage="write_rejected",
        )
        return joined | "WriteObjects" >> beam.ParDo(write).with_output_types(WrittenObject)


def encode_rejected(rejected: Rejected) -> bytes:
    """A rejected record's line."""
    return json_codec.encode(to_document(rejected))
