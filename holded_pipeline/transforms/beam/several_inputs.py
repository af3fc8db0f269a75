"""Transforms that take several PCollections take a list of them as well as a tuple."""

from __future__ import annotations

from typing import Any

import apache_beam as beam


class SeveralInputs(beam.PTransform):
    """A transform of one or several PCollections.

    Beam takes a list for values of its own and runs another pipeline over them at once, in which the PCollections of
    the list are elements.
    """

    def _extract_input_pvalues(self, pvalueish: Any) -> Any:
        return super()._extract_input_pvalues(_lists_as_tuples(pvalueish))


def _lists_as_tuples(given: Any) -> Any:
    """The same PCollections, in tuples where they were in lists."""
    if isinstance(given, list):
        return tuple(map(_lists_as_tuples, given))
    return tuple(map(_lists_as_tuples, given)) if type(given) is tuple else given
