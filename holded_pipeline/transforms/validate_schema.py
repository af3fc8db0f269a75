"""ValidateSchema: checks events against JSON Schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.model.carried_text import with_entries
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Outcome, SchemaRef
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.schemas.given_schemas import schema_source_of
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.schemas.subjects import Subject, subject_of, user_function_of
from holded_pipeline.transforms.beam.batches import BatchDoFn
from holded_pipeline.transforms.beam.event_batches import InEventBatches, comes_in_batches
from holded_pipeline.transforms.beam.inputs import require_events
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_function_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of

if TYPE_CHECKING:
    from holded_pipeline.schemas.compiled_schema import CompiledSchema

_STAGE = "validate"


class ValidateSchema(RejectingTransform[Event]):
    """Checks the data of each event against a JSON Schema.

    Takes a PCollection of `Event` and returns an `Outcome`: `passed` is a PCollection of `Event` with the schema's
    subject, version and id under `metadata["schema"]`, `rejected` one of `Rejected` with stage `validate`, every
    violation, and the schema.

    Args:
        schemas: a `SchemaRegistry`, a `SchemaDirectory`, a mapping from subject to schema (with options a
            `SchemaMapping`), or a source of your own (see `SchemaSource`). The drafts are 4, 6, 7, 2019-09 and 2020-12;
            a schema without `$schema` is of 2020-12, or of the source's `draft`. Formats are checked unless the source
            says otherwise.
        subject: the subject of all events, a template over `{type}`, `{type_name}` (its last part) and
            `{company_id}`, or a function `(event) -> str`.
        version: a version number, or `latest`.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     checked = raw.passed | hp.ValidateSchema(schemas, subject="{type}")

    Raises:
        TypeError: `schemas` is no source of schemas, such as a path; the message says how to make one.
        ValueError: `version` is neither `latest` nor a number from 1, or `subject` is empty or not a valid template.
        ConfigurationError: (applying) the schema directory cannot be read or has no schema, or two schemas have one
            `$id`; (running) a schema is not valid, is not
            JSON Schema, refers to one that is missing, or the registry rejects the request; or the subject function
            misses a file or a grant.
        TransientError: (running) the registry did not answer within its `retry`, or the subject function met an outage.

    **Guarantees:** each event comes out once, passed or rejected (`schema_violation`, `too_costly`, `unknown_subject`,
    `unknown_version`, `subject_error`). A registry that does not answer never rejects an event. The check of an event
    takes bounded CPU time and memory. Order, timestamps and windows stay. Parallel over bundles; a schema is compiled
    once per worker.
    """

    def __init__(
        self,
        schemas: SchemaSource | Mapping[str, Any],
        *,
        subject: str | Subject,
        version: int | Literal["latest"] = "latest",
    ) -> None:
        super().__init__()
        if version != "latest" and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
            raise ValueError(f'version must be "latest" or a number from 1, got {version!r}')
        self._schemas = schema_source_of(schemas, "ValidateSchema")
        self._subject = subject_of(subject)
        self._version = None if version == "latest" else version

    def expand(self, events: beam.PCollection) -> Outcome:
        """One ParDo."""
        require_events(events, "ValidateSchema")
        run_id, step = run_id_of(events.pipeline), step_of(events.pipeline)
        # A user's function may be slow, and to be passed a window means to be called for each window.
        function = user_function_of(self._subject)
        check_function_picklable(function, "subject function")
        in_batches = events.windowing.is_default() and function is None
        kind = _CheckEvents if not in_batches else _CheckEventBatches if comes_in_batches(events) else _CheckBatches
        check = kind(self._schemas.prepare(), self._subject, self._version, run_id, step)
        outputs = events | "CheckEvents" >> beam.ParDo(check).with_outputs(REJECTED, main=PASSED)
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Event)
        return outcome


class _CheckEvents(beam.DoFn):
    def __init__(self, schemas: SchemaSource, subject: Subject, version: int | None, run_id: str, step: str) -> None:
        self._schemas = schemas
        self._subject = subject
        self._version = version
        self._run_id = run_id
        self._step = step
        self._counters = Counters(_STAGE)

    def setup(self) -> None:
        from holded_pipeline.schemas.event_check import EventCheck  # noqa: PLC0415

        self._resolver = self._schemas.open()
        self._check = EventCheck(self._resolver, self._subject, self._version)

    def process(self, event: Event) -> Iterable[Any]:
        return self._outputs((event,), self._check.schema_of)

    def _outputs(self, events: Sequence[Event], schema_of: Callable[[Event], CompiledSchema]) -> list[Any]:
        outputs: list[Any] = []
        passed = 0
        for event in events:
            schema: SchemaRef | None = None
            try:
                compiled = schema_of(event)
                schema = compiled.ref
                self._check.require_valid(compiled, event)
            except RejectRecord as error:
                outputs.append(self._reject(error, event, schema))
            else:
                outputs.append(with_entries(event, compiled.entries))
                passed += 1
        if passed:
            self._counters.add("passed", passed)
        return outputs

    def _reject(self, error: RejectRecord, event: Event, schema: SchemaRef | None) -> beam.pvalue.TaggedOutput:
        return self._counters.rejected(
            reject(
                error,
                stage=_STAGE,
                raw=event.raw,
                run_id=self._run_id,
                step=self._step,
                rejected_at=datetime.now(UTC),
                schema=schema,
                event=event,
            )
        )

    def finish_bundle(self) -> Any:
        self._counters.flush()

    def teardown(self) -> None:
        if hasattr(self, "_check"):
            self._check.close()
        if hasattr(self, "_resolver"):
            self._resolver.close()


class _CheckBatches(BatchDoFn, _CheckEvents):
    """The same for events in the global window, a batch at a time."""

    def process(self, event: Event, place: WindowedValue = beam.DoFn.WindowedValueParam) -> Iterable[Any]:
        return self.add(event, place)

    def outputs_of(self, events: Sequence[Event]) -> list[Any]:
        return self._outputs(events, self._check.schemas_of())

    def finish_bundle(self) -> Iterator[Any]:
        yield from self.end_batch()
        self._counters.flush()


class _CheckEventBatches(InEventBatches, _CheckBatches):
    """The same for events that come in batches."""
