"""How enrichers, quality rules and envelopes come in: ours and everybody's by the same door."""
