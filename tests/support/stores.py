"""A store that speaks S3 and takes the bucket's name in the host alone, or in the path alone."""

import hashlib
import io
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from generations.bucket import objects

BUCKET, HOST = "seedance-tests", "store.localhost"
OF_OSS = "SecondLevelDomainForbidden"
SIGNATURE_CHARS = 64


def put_file(
    key: str, content: bytes, check: Callable[[], object] = bool, before_last: Callable[[], object] = bool
) -> bool:
    """Put the content as a copy does: from a file, with its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    return objects.put_file(key, io.BytesIO(content), len(content), sha256, "video/mp4", check, before_last)


class Store:
    """The store. It knows one bucket, and answers `refusal` where the bucket's name stands in the other place."""

    def __init__(
        self, refusal: str = "SecondLevelDomainForbidden", *, bucket_in_host: bool = True, host: str = HOST
    ) -> None:
        self.objects = dict[str, bytes]()
        self.refusal, self.bucket_in_host = refusal, bucket_in_host
        self.undeletable = set[str]()  # keys that it refuses to delete
        self.uploads = list[str]()  # keys of multipart uploads that were never completed
        self.takes_many = True  # it deletes many objects by one call
        self.refused_deletions = list[str]()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        # Tests resolve the names below localhost to this machine, as the domain of a store has a wildcard.
        self.url = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def delete(self, key: str, *, is_upload: bool = False) -> bool:
        """Delete an object or an upload. Return False for one that the store refuses to delete."""
        if key in self.undeletable:
            self.refused_deletions.append(key)
            return False
        if is_upload:
            self.uploads.remove(key)
        else:
            self.objects.pop(key, None)
        return True

    def key_of(self, host: str, path: str) -> str | None:
        """Return the object's key, "" for the bucket itself, and None if its name is in the wrong place."""
        if self.bucket_in_host:
            return path.removeprefix("/") if host.startswith(f"{BUCKET}.store.") else None
        return path.removeprefix(f"/{BUCKET}").removeprefix("/") if path.startswith(f"/{BUCKET}") else None


def _handler_of(store: Store) -> type[BaseHTTPRequestHandler]:
    """Return the handler of the store's requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer()

        do_GET = do_PUT = do_DELETE = do_POST = do_HEAD

        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            key = store.key_of(self.headers["Host"], unquote(parts.path))
            if key is None:
                return self.reply(403, f"<Error><Code>{store.refusal}</Code></Error>".encode())
            signature = query.get("X-Amz-Signature", ["." * SIGNATURE_CHARS])[0]
            if len(signature) != SIGNATURE_CHARS:
                return self.reply(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            match self.command:
                case "PUT" if self.headers.get("If-None-Match") and key in store.objects:
                    return self.reply(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                case "PUT":
                    store.objects[key] = content
                case "DELETE":
                    if not store.delete(key, is_upload="uploadId" in query):
                        return self.reply(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return self.reply(204, b"")
                case "POST" if not store.takes_many:
                    return self.reply(400, b"<Error><Code>MissingContentMD5</Code></Error>")
                case "POST":
                    return self.reply(200, self.delete_many(re.findall("<Key>(.*?)</Key>", content.decode())))
                case "GET" if "uploads" in query:
                    return self.reply(200, self.listing_of_uploads())
                case "GET" if not key:
                    return self.reply(200, self.listing(query.get("prefix", [""])[0]))
                case "GET" | "HEAD" if key:
                    found = store.objects.get(key)
                    return self.reply(404 if found is None else 200, found or b"")
            return self.reply(200, b"")

        def delete_many(self, keys: list[str]) -> bytes:
            error = "<Error><Key>{}</Key><Code>AccessDenied</Code></Error>"
            errors = "".join(error.format(key) for key in keys if not store.delete(key))
            return f"<DeleteResult>{errors}</DeleteResult>".encode()

        def listing_of_uploads(self) -> bytes:
            facts = "<UploadId>1</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated>"
            entries = "".join(f"<Upload><Key>{key}</Key>{facts}</Upload>" for key in store.uploads)
            content = f"<IsTruncated>false</IsTruncated>{entries}"
            return f"<ListMultipartUploadsResult>{content}</ListMultipartUploadsResult>".encode()

        def listing(self, prefix: str) -> bytes:
            entry = (
                "<Contents><Key>{}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            )
            entries = "".join(entry.format(escape(key)) for key in sorted(store.objects) if key.startswith(prefix))
            return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

        def reply(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Print nothing."""

    return Handler
