"""The response to a package: `CollectResponse` of the response models, as JSON.

It is encoded without pydantic, which takes several times as long; tests compare the two.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from holded_pipeline.api.collecting.collect import CheckedPackage
from holded_pipeline.api.collecting.package_parsing import RejectedMessage

_encoder = msgspec.json.Encoder()


def status_of(package: CheckedPackage) -> int:
    """202 if an event is accepted or there are none, 422 if all are rejected."""
    return 422 if package.rejected and not package.accepted else 202


def body_of(package: CheckedPackage) -> bytes:
    """The JSON of a `CollectResponse`."""
    accepted, rejected = len(package.accepted), len(package.rejected)
    return _encoder.encode(
        {
            "package_id": package.package_id,
            "received_at": package.received_at.isoformat(),
            "counts": {"received": accepted + rejected, "accepted": accepted, "rejected": rejected},
            "accepted": [{"index": index, "event_id": event_id} for index, event_id, _ in package.accepted],
            "duplicates": [{"index": index, "duplicate_of": first} for index, first in package.duplicates.items()],
            "rejected": [_rejected_event(message) for message in package.rejected],
        }
    )


def _rejected_event(message: RejectedMessage) -> dict[str, Any]:
    return {
        "index": message.index,
        "reason": message.fault.reason,
        "message": message.fault.message,
        "violations": [attrs.asdict(each) for each in message.fault.violations],
        "event_id": message.event_id,
    }
