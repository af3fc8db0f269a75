"""A credential that does not show itself."""

from __future__ import annotations

import os

from holded_pipeline.model.errors import ConfigurationError


class Secret:
    """A credential. Its value is in no repr, no log and no error message.

    `Secret.env("NAME")` is the form to prefer: it travels to workers as the variable's name, and each worker
    reads its own environment. `Secret("value")` travels with its value, since there is no other way.
    """

    # No attrs class: `attrs.asdict` of a client would open it up.
    __slots__ = ("_value", "_variable")

    def __init__(self, _value: str | None = None, _variable: str | None = None) -> None:
        if (_value is None) == (_variable is None):
            raise ValueError('give a secret as Secret("value") or as Secret.env("NAME")')
        self._value = _value
        self._variable = _variable

    @classmethod
    def env(cls, variable: str) -> Secret:
        """The value that the environment variable has on the machine and at the time it is needed."""
        if not variable:
            raise ValueError("Secret.env needs the name of an environment variable")
        return cls(None, variable)

    @classmethod
    def of(cls, value: str | Secret) -> Secret:
        """A plain string becomes a secret; a secret stays as it is."""
        return value if isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """The value itself, for the one call that needs it.

        Raises:
            ConfigurationError: the environment variable is not set here.
        """
        if self._variable is None:
            assert self._value is not None  # noqa: S101  the constructor saw to it
            return self._value
        value = os.environ.get(self._variable)
        if value is None:
            raise ConfigurationError(
                f"the environment variable {self._variable} is not set on this machine, "
                f"though Secret.env({self._variable!r}) needs it; set it where the workers run"
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
