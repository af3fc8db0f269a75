"""GET requests for many small objects, signed here: what botocore does around each request takes longer than it.

Only an answer that is exactly what was asked for counts. For any other one nothing is concluded: the caller asks again
through the client, which knows what an error means.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.awsrequest import AWSPreparedRequest

from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import Slice

_NO_BODY = hashlib.sha256(b"").hexdigest()
_SIGNED_HEADERS = "host;if-match;x-amz-content-sha256;x-amz-date"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = "/~"  # besides letters, digits and `_.-`: what S3 leaves as it is in a path
_OK = 200
_GONE = {404, 412}

_logger = logging.getLogger("holded_pipeline")


class SignedGets:
    """Fetches objects of a bucket over a client's own connections: with its TLS settings, proxies and timeouts."""

    def __init__(self, client: Any, signer: Signer) -> None:
        self._client = client
        self._signer = signer
        self._is_working = True

    @classmethod
    async def open(cls, client: Any, lake: MinIO) -> SignedGets:
        """Asks the client where the bucket's keys are, by path or by host. That sends nothing."""
        url = await client.generate_presigned_url("get_object", Params={"Bucket": lake.bucket, "Key": "k"})
        return cls(client, Signer(lake, url.partition("?")[0].removesuffix("k")))

    async def get(self, part: Slice) -> bytes | None:
        """The bytes of a whole object, of exactly the version that was listed; None if something else came.

        After an error, other than that this object is gone, it does not try again: an outage is left to the client.
        """
        if not self._is_working or part.length != part.size:
            return None
        try:
            status, etag, body = await self._send(part)
        except Exception as error:  # noqa: BLE001  the client meets it again, and knows what it means
            _logger.debug("a bulk read of %s goes on one by one: %s", part.key, type(error).__name__)
            self._is_working = False
            return None
        if status == _OK and etag == f'"{part.etag}"' and len(body) == part.length:
            return body
        self._is_working = status in _GONE
        return None

    async def _send(self, part: Slice) -> tuple[int, str, bytes]:
        url, headers = self._signer.sign(part.key, part.etag, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        request = AWSPreparedRequest("GET", url, headers, None, stream_output=False)
        # botocore has no public way to the connections of a client
        answer = await self._client._endpoint.http_session.send(request)  # noqa: SLF001
        return answer.status_code, answer.headers.get("etag", ""), await answer.content


class Signer:
    """Signs GET requests by AWS Signature Version 4."""

    def __init__(self, lake: MinIO, base_url: str) -> None:
        parts = urlsplit(base_url)
        port = parts.port if parts.port != _DEFAULT_PORTS.get(parts.scheme) else None
        host = parts.netloc.rpartition("@")[2]
        self._host = host if port is not None else host.removesuffix(f":{parts.port}")
        self._base_path = parts.path
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._access_key = lake.access_key
        self._region = lake.region
        self._secret = lake.secret_key
        self._day = ""
        self._key = b""

    def sign(self, key: str, etag: str, now: str) -> tuple[str, dict[str, str]]:
        """The URL and the headers of a request for this version of an object; `now` as in `20300131T235959Z`."""
        path = self._base_path + quote(key, safe=_UNRESERVED)
        day = now[:8]
        if day != self._day:
            self._day, self._key = day, self._key_of(day)
        canonical = (
            f'GET\n{path}\n\nhost:{self._host}\nif-match:"{etag}"\nx-amz-content-sha256:{_NO_BODY}\n'
            f"x-amz-date:{now}\n\n{_SIGNED_HEADERS}\n{_NO_BODY}"
        )
        scope = f"{day}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        return f"{self._origin}{path}", {
            "If-Match": f'"{etag}"',
            "X-Amz-Content-SHA256": _NO_BODY,
            "X-Amz-Date": now,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, "
            f"SignedHeaders={_SIGNED_HEADERS}, Signature={signature}",
        }

    def _key_of(self, day: str) -> bytes:
        key = b"AWS4" + self._secret.reveal().encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key
