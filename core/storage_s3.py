"""Files in any S3. boto3 is imported only by processes that use it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from core.errors import Misconfigured, NotFound, Permanent, Retryable
from core.storage import Stored, check_key, content_disposition

_PART = 16 << 20
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_OPERATOR = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}
    | {"ExpiredToken", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed"}
)


def make_client(
    *,
    endpoint_url: str | None,
    region: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    timeout: tuple[float, float] = (5.0, 60.0),
) -> Any:
    """Make a boto3 client with timeouts, four tries and signature v4.

    Without keys boto3's own chain applies (instance roles). Checksums beyond the required ones are off:
    stores other than AWS refuse or ignore them.
    """
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(
            signature_version="s3v4",
            connect_timeout=timeout[0],
            read_timeout=timeout[1],
            retries={"total_max_attempts": 4, "mode": "standard"},
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


class S3Storage:
    """Keys live under `prefix` in `bucket`; the bucket must exist."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{check_key(prefix.strip('/'))}/" if prefix.strip("/") else ""

    def put(self, key: str, path: Path, *, mime: str) -> None:
        from boto3.s3.transfer import TransferConfig

        name = self._name(key)
        parts = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=4)
        with _translated(key):
            self._client.upload_file(
                str(path), self._bucket, name, ExtraArgs={"ContentType": mime}, Config=parts
            )

    def open(self, key: str) -> BinaryIO:
        # A nameless file rather than the socket: seekable like the disk store's, and no connection is held.
        copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        try:
            with _translated(key):
                self._client.download_fileobj(self._bucket, self._name(key), copy)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    @contextlib.contextmanager
    def local(self, key: str) -> Iterator[Path]:
        name = self._name(key)
        with tempfile.TemporaryDirectory(prefix="callsheet-") as folder:
            path = Path(folder, name.rpartition("/")[2])
            with _translated(key):
                self._client.download_file(self._bucket, name, str(path))
            yield path

    def presign(self, key: str, *, ttl: int, filename: str | None = None, mime: str | None = None) -> str:
        params = {"Bucket": self._bucket, "Key": self._name(key)}
        if filename is not None:
            params["ResponseContentDisposition"] = content_disposition(filename)
        if mime is not None:
            params["ResponseContentType"] = mime
        with _translated(key):
            return str(self._client.generate_presigned_url("get_object", Params=params, ExpiresIn=ttl))

    def delete(self, key: str) -> None:
        with contextlib.suppress(NotFound), _translated(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except NotFound:
            return False
        return True

    def size(self, key: str) -> int:
        with _translated(key):
            return int(self._client.head_object(Bucket=self._bucket, Key=self._name(key))["ContentLength"])

    def list(self, prefix: str = "") -> Iterator[Stored]:
        if prefix:
            check_key(prefix.rstrip("/"))
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        with _translated(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    yield Stored(item["Key"][len(self._prefix) :], item["Size"], item["LastModified"])

    def check(self) -> None:
        try:
            with _translated(self._bucket):
                self._client.head_bucket(Bucket=self._bucket)
        except NotFound:
            raise Misconfigured(f"STORAGE_URL: there is no bucket {self._bucket}") from None

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)


@contextlib.contextmanager
def _translated(key: str) -> Iterator[None]:
    """Turn what boto3 raises into the error tree."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        yield
    except ClientError as exc:
        raise _from_answer(exc.response, key) from exc
    except NoCredentialsError as exc:
        raise Misconfigured("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are not set") from exc
    except ParamValidationError as exc:
        raise Permanent(f"the S3 store cannot take {key}") from exc
    except Boto3Error as exc:
        # The transfer layer wraps the client's error into text and keeps it as the context.
        cause = exc.__context__
        if isinstance(cause, ClientError):
            raise _from_answer(cause.response, key) from exc
        raise Retryable("the S3 store broke off a transfer") from exc
    except BotoCoreError as exc:
        raise Retryable(f"the S3 store cannot be reached ({type(exc).__name__})") from exc


def _from_answer(answer: Any, key: str) -> NotFound | Misconfigured | Retryable | Permanent:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING:
        return NotFound(f"no file is stored under {key}")
    if code in _OPERATOR:
        return Misconfigured(f"the S3 store refuses ({code}): check STORAGE_URL and the S3_* settings")
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "InternalError", "RequestTimeTooSkewed"):
        return Retryable(f"the S3 store is in trouble ({code or status})")
    return Permanent(f"the S3 store refuses {key} ({code or status})")
