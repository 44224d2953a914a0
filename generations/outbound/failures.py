"""Describe errors of the HTTP libraries in sentences of our own: those of the libraries may hold a URL and its secrets.

The sentences complete "The image could not be read from its URL: …" and "the poll failed: …".
"""

import ssl

import httpcore
import httpx

from generations.outbound.errors import FetchFailed

FOREIGN_ERRORS = (
    httpx.InvalidURL,
    httpcore.UnsupportedProtocol,
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.ConnectionNotAvailable,
)
SENTENCES: dict[type[Exception], str] = {
    httpx.InvalidURL: "the URL is invalid",
    httpcore.UnsupportedProtocol: "the URL is neither http nor https",
    httpcore.ConnectTimeout: "the server accepted no connection in time",
    httpcore.ConnectError: "the server cannot be reached",
    httpcore.ReadTimeout: "the server did not send its whole answer in time",
    httpcore.WriteTimeout: "the server did not read the request in time",
    httpcore.LocalProtocolError: "the request cannot be sent over HTTP",
    httpcore.RemoteProtocolError: "the server sent an answer that is not valid HTTP",
}
OTHER = "the server broke off the connection"
TLS_FAILED = "no TLS connection to the server came about"
# By OpenSSL's numbers: https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
CERTIFICATES = {
    9: "the server's TLS certificate is not valid yet",
    10: "the server's TLS certificate has expired",
    62: "the server's TLS certificate is for another host",
    64: "the server's TLS certificate is for another host",
}
UNTRUSTED = "the server's TLS certificate is not trusted"


class AnswerTooLong(httpcore.ReadError):
    """The exchange has received all the bytes that it may have, and its answer has not ended."""


SENTENCES[AnswerTooLong] = "the server sent more than an answer may have"


def translate(error: Exception, *, is_unsent: bool, has_ended: bool = False) -> FetchFailed:
    """Return our error for one of FOREIGN_ERRORS. `has_ended` says that the server has closed the connection."""
    return FetchFailed(_describe(error, has_ended), is_unsent=is_unsent)


def _describe(error: Exception, has_ended: bool) -> str:
    match error.__cause__:
        case ssl.SSLCertVerificationError(verify_code=code):
            return CERTIFICATES.get(code, UNTRUSTED)
        case ssl.SSLError() if isinstance(error, httpcore.ConnectError):
            return TLS_FAILED
        case ConnectionRefusedError():
            return "the server refused the connection"
    if has_ended and isinstance(error, httpcore.RemoteProtocolError):
        return "the server closed the connection before its answer was whole"
    return next((SENTENCES[kind] for kind in type(error).__mro__ if kind in SENTENCES), OTHER)
