"""What stands before the gateway in the real world: TLS on an address that hosts reach, passed on to loopback."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@contextmanager
def tls_front(directory: Path, *, address: IPv4Address, inner_port: int) -> Iterator[tuple[int, Path]]:
    """Its port, and the file of the authority that signed its certificate."""
    authority, chain = _certificates(directory, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    is_ready, stop = threading.Event(), asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner_port)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
            finally:
                for each in (inner_writer, writer):
                    each.transport.abort()

    async def serve() -> None:
        server = await asyncio.start_server(pass_on, str(address), 0, ssl=context)
        ready.append(server.sockets[0].getsockname()[1])
        is_ready.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="tls-front")
    thread.start()
    try:
        assert is_ready.wait(30), "the TLS front did not start"
        yield ready[0], authority
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def _certificates(directory: Path, address: IPv4Address) -> tuple[Path, Path]:
    now = datetime.now(UTC)
    signer = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "penguin test authority")])
    root = _build(name, name, signer.public_key(), now).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    root = root.add_extension(usage, critical=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(address))])
    leaf = _build(subject, name, server_key.public_key(), now).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(address)]), critical=False
    )
    authority, chain = directory / "authority.pem", directory / "front.pem"
    authority.write_bytes(root.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM))
    chain.write_bytes(
        leaf.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
        + server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    chain.chmod(0o600)
    return authority, chain


def _build(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
