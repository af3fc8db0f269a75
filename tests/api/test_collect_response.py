"""The body of a response, which is encoded by hand, is that of its model in OpenAPI."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from holded_pipeline.api.collecting.collect import CheckedPackage
from holded_pipeline.api.collecting.collect_response import body_of
from holded_pipeline.api.collecting.package_parsing import RejectedMessage
from holded_pipeline.api.response_models import CollectResponse
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Violation


def test_the_response_is_that_of_its_model():
    package = CheckedPackage("p", datetime(2026, 11, 24, tzinfo=UTC))
    package.accepted.append((0, "e-0", b"{}\n"))
    fault = RejectRecord("schema_mismatch", "no", violations=[Violation("/a", "type", "is not a number")])
    package.rejected += [RejectedMessage(1, fault, "e-1"), RejectedMessage(2, RejectRecord("not_json", "'é'"))]

    body = json.loads(body_of(package))

    assert CollectResponse.model_validate(body, strict=True, extra="forbid").model_dump(mode="json") == body
