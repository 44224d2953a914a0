"""Tests of TLS in the guarded fetch: it connects to the checked address, with the host's name and certificate."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from generations.outbound import connecting, fetch
from generations.outbound.errors import FetchFailed

HOST = "images.example.com"


class Handler(BaseHTTPRequestHandler):
    """A handler that answers with the Host header of the request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


def certificate(folder: Path, name: x509.GeneralName) -> Path:
    """Write a new key with a self-signed certificate for the name, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(issuer, issuer, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    pem, form, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(pem, form, plain) + signed.public_bytes(pem))
    return file


@pytest.fixture
def server_names(monkeypatch: Any, settings: Any, tmp_path: Path, name: x509.GeneralName) -> Iterator[list[str]]:
    """Serve HOST by TLS with a trusted certificate for `name`. Yield the server names that clients ask for."""
    file, server_names = certificate(tmp_path, name), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.sni_callback = lambda _, server_name, __: server_names.append(server_name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings.FETCH_ALLOW_HOSTS = [f"{HOST}:{server.server_address[1]}"]
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **named: look_up({HOST: "127.0.0.1"}.get(host, host), *args, **named)
    )
    monkeypatch.setattr(certifi, "where", lambda: str(file))
    connecting._tls.cache_clear()
    yield server_names
    connecting._tls.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", [x509.DNSName(HOST)])
def test_tls_asks_for_the_hosts_name_and_trusts_its_certificate(server_names: list[str], settings: Any) -> None:
    [authority] = settings.FETCH_ALLOW_HOSTS
    assert fetch.read(f"https://{authority}/a.png", limit=1000, deadline=5.0) == authority.encode()
    assert server_names == [HOST]


@pytest.mark.parametrize("name", [x509.DNSName("other.example.com"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
def test_a_certificate_for_another_name_or_for_the_address_is_not_trusted(
    server_names: list[str], settings: Any
) -> None:
    [authority] = settings.FETCH_ALLOW_HOSTS
    with pytest.raises(FetchFailed, match="for another host"):
        fetch.read(f"https://{authority}/a.png", limit=1000, deadline=5.0)
    assert server_names == [HOST]
