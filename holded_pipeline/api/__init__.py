"""The ingestion API: `POST /collect` and what belongs to it, as a FastAPI application.

Needs the extra `api`.
"""

from holded_pipeline.model.install_lines import install_line

try:
    import fastapi  # noqa: F401  asked for first, so that the error says what to install
    import limits  # noqa: F401  as above
    import prometheus_client  # noqa: F401  as above
    import uvicorn  # noqa: F401  as above
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the ingestion API needs {error.name}, which is not installed; run: {install_line('api')}",
        name=error.name,
    ) from error

from holded_pipeline.api.access.api_key import ApiKey
from holded_pipeline.api.access.key_file import KeyFile
from holded_pipeline.api.app import create_app
from holded_pipeline.api.collecting.spool import Spool
from holded_pipeline.api.serving.serve import serve
from holded_pipeline.api.settings import Limits, Writing

__all__ = ["ApiKey", "KeyFile", "Limits", "Spool", "Writing", "create_app", "serve"]
