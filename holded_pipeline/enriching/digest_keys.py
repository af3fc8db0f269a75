"""The keys of keyed hashes: without the key nobody can find a value by hashing guesses."""

from __future__ import annotations

from typing import Any, Final, Protocol, runtime_checkable

from holded_pipeline.model.errors import ConfigurationError

_MIN_KEY_LENGTH: Final = 16


@runtime_checkable
class Key(Protocol):
    """A key that is read only where it is used; `hp.Secret` is one."""

    def reveal(self) -> str:
        """The key itself."""
        ...


def validate_key(enricher: object, _: object, key: Any) -> None:
    """Checks that a key is a secret.

    Raises:
        TypeError: it is something else, say a text, which would be pickled for every worker in the clear.
    """
    if not isinstance(key, Key):  # the message does not repeat it
        raise TypeError(
            f"the key of {type(enricher).__name__} is an hp.Secret, best hp.Secret.env('NAME'), "
            f"not a {type(key).__name__}"
        )


def reveal_key(enricher: object, key: Key) -> bytes:
    """The key itself.

    Args:
        enricher: names the enricher in the message.
        key: its key.

    Raises:
        ConfigurationError: the key is not set, or too short.
    """
    revealed = key.reveal()
    if len(revealed) < _MIN_KEY_LENGTH:
        raise ConfigurationError(
            f"the key of {type(enricher).__name__} ({key!r}) has {len(revealed)} characters, and whoever guesses it "
            f"can find the values; use at least {_MIN_KEY_LENGTH} random ones"
        )
    return revealed.encode()
