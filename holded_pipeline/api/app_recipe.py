"""How an app was made, so that each worker process can make its own."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable

from fastapi import FastAPI

from holded_pipeline.model.errors import ConfigurationError

AppSource = FastAPI | Callable[[], FastAPI]
"""An app that `create_app` returned, or a function that returns one."""


def keep_recipe(app: FastAPI, recipe: functools.partial[FastAPI]) -> None:
    """Keeps in an app the call that made it."""
    app.state.recipe = recipe
    app.state.parts = _parts(app)


def pickled_recipe(source: AppSource) -> bytes:
    """The pickled function that makes the app in another process.

    Raises:
        ConfigurationError: it cannot be pickled, or the app was changed after it was made.
    """
    if not isinstance(source, FastAPI):
        return _pickle(source, f"the function {getattr(source, '__qualname__', source)!r}")
    if source.state.parts != _parts(source):
        raise ConfigurationError(
            "the app has routes, middleware or handlers that were added after create_app, and workers would not have "
            "them; write a function that makes the whole app, and serve that: serve(make_app, workers=…)"
        )
    recipe: functools.partial[FastAPI] = source.state.recipe
    for name, value in recipe.keywords.items():
        _pickle(value, f"the argument {name} of create_app")
    return _pickle(recipe, "the call of create_app")


def make_app(pickled: bytes) -> FastAPI:
    """Makes the app.

    Raises:
        ConfigurationError: this process does not have a function that the app needs.
    """
    try:
        recipe: Callable[[], FastAPI] = pickle.loads(pickled)  # noqa: S301  the parent process wrote it
    except (AttributeError, ImportError) as error:
        raise ConfigurationError(
            f"a worker process cannot import what the app needs: {error}; put it in a module, or in the script that is "
            "started, not in a notebook, a shell or under `if __name__`"
        ) from error
    return recipe()


def _pickle(value: object, what: str) -> bytes:
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"{what} cannot be pickled for the worker processes: {error}; write a function at the top of a module that "
            "makes the app, and serve that: serve(make_app, workers=…)"
        ) from error


def _parts(app: FastAPI) -> tuple[int, int, int, int]:
    return len(app.router.routes), len(app.user_middleware), len(app.exception_handlers), len(app.dependency_overrides)
