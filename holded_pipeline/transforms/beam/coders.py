"""Beam coders for `Event` and `Rejected`. Without a registered coder a shuffle would pickle them."""

from __future__ import annotations

from apache_beam import coders

from holded_pipeline.model.values import Event, Rejected
from holded_pipeline.transforms.beam import wire

_OVERHEAD = 500  # bytes of a value without its record


class EventCoder(coders.Coder):
    """`Event` to bytes and back, without loss."""

    def encode(self, value: Event) -> bytes:
        """Encodes an event."""
        return wire.event_to_bytes(value)

    def decode(self, encoded: bytes) -> Event:
        """Decodes an event."""
        return wire.event_from_bytes(encoded)

    def estimate_size(self, value: Event) -> int:
        """An estimate, good enough for Beam's sampling, so that the event need not be encoded for it."""
        return 2 * len(value.raw) + _OVERHEAD

    def is_deterministic(self) -> bool:
        """False: equal events may have their data in another order, so an event cannot be a key."""
        return False

    def to_type_hint(self) -> type[Event]:
        """The type that this coder encodes."""
        return Event


class RejectedCoder(coders.Coder):
    """`Rejected` to bytes and back, without loss."""

    def encode(self, value: Rejected) -> bytes:
        """Encodes a rejected record."""
        return wire.rejected_to_bytes(value)

    def decode(self, encoded: bytes) -> Rejected:
        """Decodes a rejected record."""
        return wire.rejected_from_bytes(encoded)

    def estimate_size(self, value: Rejected) -> int:
        """An estimate, good enough for Beam's sampling, so that the record need not be encoded for it."""
        return len(value.raw) + _OVERHEAD

    def is_deterministic(self) -> bool:
        """True: equal rejected records have the same bytes."""
        return True

    def to_type_hint(self) -> type[Rejected]:
        """The type that this coder encodes."""
        return Rejected


coders.registry.register_coder(Event, EventCoder)
coders.registry.register_coder(Rejected, RejectedCoder)
