"""What an installed host talks to, at this machine's end of its network: a gateway over TLS, a sink, and a receiver."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from penguin_infra_tests.agent.stub_gateway import StubGateway
from penguin_infra_tests.installer.certificates import make_certificates

SINK_DOMAIN = "sink.test"
# Each host has a network of its own: nobody else is at its gateway's address.
SINK_PORT = 2525
RECEIVER_PORT = 25


@dataclass(frozen=True)
class Received:
    """One mail, and how it came."""

    peer: str
    helo: str
    is_encrypted: bool
    sender: str
    recipients: list[str]
    content: bytes


@dataclass
class Surroundings:
    """Their records, and where they are. A receiver is what takes mail at port 25, as the whole world does."""

    gateway: StubGateway
    gateway_url: str
    authority: Path
    sink_route: str
    mails: list[Received] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(
            Received(
                session.peer[0], session.host_name, session.ssl is not None,
                envelope.mail_from, envelope.rcpt_tos, envelope.content,
            )
        )  # fmt: skip
        return "250 taken"


@contextmanager
def surroundings(address: IPv4Address, folder: Path) -> Iterator[Surroundings]:
    """Both at this address for the length of a block."""
    certificates = make_certificates(folder, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    with _gateway(address, context) as (stub, url):
        made = Surroundings(stub, url, certificates.authority, f"{address}:{SINK_PORT}")
        with ExitStack() as ends:
            for port in (SINK_PORT, RECEIVER_PORT):
                listener = Controller(made, hostname=str(address), port=port, tls_context=context)
                listener.start()
                ends.callback(listener.stop)
            yield made


@contextmanager
def _gateway(address: IPv4Address, context: ssl.SSLContext) -> Iterator[tuple[StubGateway, str]]:
    stub = StubGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            reply = stub.take(self.path, body, token)
            told = json.dumps(reply.body or {}).encode()
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_request(self, *args: object) -> None:
            """Quiet: the records tell."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Hosts are cut off and rebooted here."""

    server = Server((str(address), 0), Handler)
    server.daemon_threads = True
    # The handshake is the handling thread's: a host that vanishes in it must not stop the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub, f"https://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
