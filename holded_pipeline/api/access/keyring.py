"""The API keys of a server, found by their hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from holded_pipeline.api.access.api_key import ApiKey, digest_of
from holded_pipeline.api.access.caller import LOOPBACK
from holded_pipeline.servers.secret import Secret

OneKey = ApiKey | Secret | str
"""A key; a plain text or secret may only collect."""

NamedKeys = Mapping[str, OneKey | Sequence[OneKey]]
"""Keys by name; several of one name while a client changes from the old key to the new one."""

_LONGEST_NAME = 64


class Keyring:
    """Keys with their names, found by the key that a request sends.

    A key is looked up by its SHA-256 in a dictionary. How long that takes may show whether the beginning of a hash is
    known, and that helps nobody: to use it, one would have to find keys with a chosen hash. The key itself is never
    compared.

    Args:
        keys: the keys, each with its name.

    Raises:
        ValueError: a name or a key cannot be used, or two keys are the same.
        ConfigurationError: the environment variable of a key is not set.
    """

    def __init__(self, keys: Iterable[tuple[str, ApiKey]]) -> None:
        self._keys: dict[bytes, tuple[str, ApiKey]] = {}
        for name, key in keys:
            validate_key_name(name)
            digest = key.digest(name)
            if digest in self._keys:
                raise ValueError(
                    f"two API keys are the same, those of {self._keys[digest][0]!r} and {name!r}; give each client a "
                    "key of its own"
                )
            self._keys[digest] = (name, key)

    @classmethod
    def of(cls, keys: NamedKeys) -> Keyring:
        """The keys of a mapping."""
        return cls(_named(keys))

    def __len__(self) -> int:
        return len(self._keys)

    def names(self) -> list[str]:
        """The names, each once."""
        return sorted({name for name, _ in self._keys.values()})

    def find(self, key: str) -> tuple[str, ApiKey] | None:
        """The name of a key and what it may do; None if it is not known."""
        return self._keys.get(digest_of(key))

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.names())})"


def _named(keys: NamedKeys) -> Iterator[tuple[str, ApiKey]]:
    for name, several in keys.items():
        for key in [several] if isinstance(several, ApiKey | Secret | str) else several:
            yield name, ApiKey.of(key)


def validate_key_name(name: object) -> None:
    """Checks a name, which is in metrics, in the log and in each event that the key sends.

    Raises:
        ValueError: it is no text of that kind.
    """
    if (
        not isinstance(name, str)
        or not name.isprintable()
        or name != name.strip()
        or not 0 < len(name) <= _LONGEST_NAME
    ):
        raise ValueError(
            f"the name of an API key is a printable text of at most {_LONGEST_NAME} characters, not {name!r}"
        )
    if name == LOOPBACK:
        raise ValueError(
            f"no API key may be named {LOOPBACK!r}, the name of callers without a key; choose another name"
        )
