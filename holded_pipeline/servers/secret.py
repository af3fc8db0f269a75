"""A credential that is in no text of the object that holds it."""

from __future__ import annotations

import os
import re

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.servers.argument_types import described_argument

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Secret:
    """A credential. Its value is in no repr, no log and no error message.

    Prefer `Secret.env("NAME")`: it is pickled as the name of the variable, and each worker reads its own environment.
    `Secret("value")` is pickled with its value.
    """

    # Not an attrs class: `attrs.asdict` of a client would contain its value.
    __slots__ = ("_value", "_variable")

    def __init__(self, _value: str | None = None, _variable: str | None = None) -> None:
        if (_value is None) == (_variable is None):
            raise ValueError('give a secret as Secret("value") or as Secret.env("NAME")')
        if _value is not None and not isinstance(_value, str):
            raise TypeError(f"a secret is a text, got {described_argument(_value)}")
        self._value = _value
        self._variable = _variable

    @classmethod
    def env(cls, variable: str) -> Secret:
        """The value of an environment variable, read when and on the machine where it is needed."""
        if not isinstance(variable, str) or not _NAME.fullmatch(variable):
            # A value may have been given instead of a name, so the message does not show it.
            raise ValueError('Secret.env needs the name of an environment variable, e.g. Secret.env("PGPASSWORD")')
        return cls(None, variable)

    @classmethod
    def of(cls, value: str | Secret) -> Secret:
        """A plain string becomes a secret; a secret stays as it is.

        Raises:
            TypeError: it is neither, such as None from an environment variable that is not set.
        """
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str):
            raise TypeError(
                f"a secret is a text or an hp.Secret, and got {described_argument(value)}; "
                'hp.Secret.env("NAME") reads an environment variable where it is needed, and names it if it is not set'
            )
        return cls(value)

    def reveal(self) -> str:
        """The value.

        Raises:
            ConfigurationError: the environment variable is not set here.
        """
        if self._variable is None:
            assert self._value is not None  # noqa: S101  the constructor checks it
            return self._value
        value = os.environ.get(self._variable)
        if value is None:
            raise ConfigurationError(
                f"the environment variable {self._variable} is not set on this machine, "
                f"and Secret.env({self._variable!r}) needs it; set it where the workers run"
            )
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._value, self._variable) == (other._value, other._variable)

    def __hash__(self) -> int:
        return hash((self._value, self._variable))

    def __repr__(self) -> str:
        return f"Secret.env({self._variable!r})" if self._variable else "Secret(***)"

    __str__ = __repr__
