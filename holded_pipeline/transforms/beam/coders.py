"""How Beam carries our values across a shuffle. Without a registered coder they would be pickled."""

from __future__ import annotations

from apache_beam import coders

from holded_pipeline.model.values import Event, Rejected
from holded_pipeline.transforms.beam import wire

_OVERHEAD = 500  # bytes of a value beside its record


class EventCoder(coders.Coder):
    """`Event` to bytes and back, without loss."""

    def encode(self, value: Event) -> bytes:
        """The bytes of an event."""
        return wire.event_to_bytes(value)

    def decode(self, encoded: bytes) -> Event:
        """The event of its bytes."""
        return wire.event_from_bytes(encoded)

    def estimate_size(self, value: Event) -> int:
        """Near enough for Beam's sampling, without encoding an event that is going nowhere."""
        return 2 * len(value.raw) + _OVERHEAD

    def is_deterministic(self) -> bool:
        """Equal events may order the names in their data differently, so they are no keys."""
        return False

    def to_type_hint(self) -> type[Event]:
        """What it carries."""
        return Event


class RejectedCoder(coders.Coder):
    """`Rejected` to bytes and back, without loss."""

    def encode(self, value: Rejected) -> bytes:
        """The bytes of a rejected record."""
        return wire.rejected_to_bytes(value)

    def decode(self, encoded: bytes) -> Rejected:
        """The rejected record of its bytes."""
        return wire.rejected_from_bytes(encoded)

    def estimate_size(self, value: Rejected) -> int:
        """Near enough for Beam's sampling, without encoding a record that is going nowhere."""
        return len(value.raw) + _OVERHEAD

    def is_deterministic(self) -> bool:
        """Every field has one form."""
        return True

    def to_type_hint(self) -> type[Rejected]:
        """What it carries."""
        return Rejected


coders.registry.register_coder(Event, EventCoder)
coders.registry.register_coder(Rejected, RejectedCoder)
