"""An ingestion API as people write it first: FastAPI, and a put to the store for each event.

It checks no key and no limit, and answers when each event is stored. `collect_load.py` runs it beside ours.

    python benchmarks/naive_collect.py PORT ENDPOINT BUCKET ACCESS_KEY     with the secret key in MINIO_SECRET_KEY
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import s3fs
import uvicorn
from fastapi import Body, FastAPI

app = FastAPI()
_, port, endpoint, bucket, access_key = sys.argv
filesystem = s3fs.S3FileSystem(key=access_key, secret=os.environ["MINIO_SECRET_KEY"], endpoint_url=endpoint)


@app.get("/ready")
def ready() -> dict[str, str]:
    """Whether it runs."""
    return {"status": "ready"}


@app.post("/collect", status_code=202)
def collect(body: Annotated[Any, Body()]) -> dict[str, list[str]]:
    """Stores each event as an object."""
    accepted = []
    for event in body if isinstance(body, list) else [body]:
        event_id = str(uuid.uuid4())
        line = json.dumps({"event_id": event_id, "event": event}).encode()
        filesystem.pipe_file(f"{bucket}/naive/{datetime.now(UTC):%Y-%m-%d}/{event_id}.json", line)
        accepted.append(event_id)
    return {"accepted": accepted}


if __name__ == "__main__":
    uvicorn.run(app, port=int(port), log_level="error", access_log=False)
