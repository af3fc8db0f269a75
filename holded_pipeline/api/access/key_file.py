"""A file of API keys: TOML or JSON, with the hash of each key, so that the file alone lets nobody in."""

from __future__ import annotations

import json
import stat
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from holded_pipeline.api.access.api_key import ApiKey
from holded_pipeline.api.access.keyring import Keyring
from holded_pipeline.model.errors import ConfigurationError

_MOST_BYTES: Final = 4 << 20


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One key of the file."""

    name: str
    sha256: str
    scopes: tuple[str, ...] = ("collect",)
    companies: tuple[str, ...] | None = None
    expires_at: datetime | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    keys: list[_Entry]


@attrs.frozen
class KeyFile:
    """API keys in a file that may change while the server runs: `create_app(keys=KeyFile("keys.toml"))`.

    The server looks at the file once a second, in a thread of its own, and takes a new content that it has seen twice
    the same. While the file is missing or broken it keeps the keys that it has, and logs why on
    `holded_pipeline.audit`. Replacing the file by renaming another one to its name is safe, and so is writing to it.

    The file has an entry for each key; `holded-pipeline key new NAME` makes a key and prints its entry. Several
    entries may have one name: the old key and the new one of a client, until the client has changed to the new one.

        [[keys]]
        name = "shop"
        sha256 = "…"                           # of the key, 64 hexadecimal digits
        scopes = ["collect"]                   # of collect, read, metrics, admin
        companies = ["5aa9d24b0d12d65fe50d0d20"]   # may be omitted: all
        expires_at = 2027-01-01T00:00:00Z      # may be omitted: never

    A file whose name ends with `.json` has the same as JSON: `{"keys": [{"name": …}]}`. With `keys = []` no key is
    accepted.

    Attributes:
        path: the file.
    """

    path: Path = attrs.field(converter=Path)

    def read(self) -> bytes:
        """The content.

        Raises:
            ConfigurationError: the file is missing, too large, or cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            raise ConfigurationError(
                f"there is no key file {self.path}; `holded-pipeline key new NAME` prints an entry for one"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"the key file {self.path} cannot be read: {error.strerror or error}") from error
        if len(content) > _MOST_BYTES:
            raise ConfigurationError(
                f"the key file {self.path} has more than {_MOST_BYTES:,} bytes; is it another file?"
            )
        return content

    def parse(self, content: bytes) -> Keyring:
        """The keys of a content.

        Raises:
            ConfigurationError: it is not TOML (or JSON), or an entry is wrong; the message names the entry and has no
                value of the file.
        """
        document = self._decode(content)
        if isinstance(document, dict):
            self._refuse_clear_keys(document)
        try:
            entries = msgspec.convert(document, _Document).keys
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"the key file {self.path} cannot be used: {error}") from error
        keys = []
        for number, entry in enumerate(entries, 1):
            fields = {name: getattr(entry, name) for name in ("sha256", "scopes", "companies", "expires_at")}
            try:
                keys.append((entry.name, ApiKey(**fields)))
            except (ValueError, TypeError) as error:
                raise ConfigurationError(
                    f"the key file {self.path} cannot be used: entry {number}, {entry.name!r}: {error}"
                ) from error
        try:
            return Keyring(keys)
        except ValueError as error:
            raise ConfigurationError(f"the key file {self.path} cannot be used: {error}") from error

    def load(self) -> Keyring:
        """The keys that the file has now.

        Raises:
            ConfigurationError: see `read` and `parse`.
        """
        return self.parse(self.read())

    def exposure(self) -> str | None:
        """What others on this machine may do with the file and should not, in words; None if that is nothing."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return None
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            return (
                f"others may write the key file {self.path}, and so give themselves keys; run: chmod go-w {self.path}"
            )
        if mode & stat.S_IROTH:
            return (
                f"others may read the key file {self.path}, with names and hashes of keys; run: chmod o-r {self.path}"
            )
        return None

    def _decode(self, content: bytes) -> Any:
        is_json = self.path.suffix == ".json"
        try:
            text = content.decode("utf-8-sig")  # some editors begin a file with a mark
            return json.loads(text) if is_json else tomllib.loads(text)
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"the key file {self.path} is not UTF-8; save it as UTF-8") from error
        except (ValueError, RecursionError) as error:
            place = getattr(error, "lineno", None)
            where = f" in line {place}" if place else ""
            kind = "JSON" if is_json else "TOML"
            # Without the words of the parser, which quote the text: it may be a key.
            raise ConfigurationError(f"the key file {self.path} is no valid {kind}{where}; correct it") from None

    def _refuse_clear_keys(self, document: dict[str, Any]) -> None:
        """Refuses a key in the clear; the message does not repeat it."""
        entries = document.get("keys")
        for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
            if isinstance(entry, dict) and {"key", "secret", "value"} & entry.keys():
                raise ConfigurationError(
                    f"the key file {self.path} has the key of entry {number} in the clear; write its sha256 instead, "
                    "which `holded-pipeline key new` prints"
                )
