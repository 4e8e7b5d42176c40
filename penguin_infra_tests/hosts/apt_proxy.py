"""The only way of the hosts' apt to the world: a caching proxy that passes on Debian's mirrors and nothing else.

Each file is fetched by this machine's own apt, with its proxies and credentials, and kept on disk. A file whose name
fixes its content is fetched once; of any other the last copy serves when the mirror is away. Apt inside the hosts
checks the signatures: nothing is verified here.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn

from penguin_infra_tests.hosts.mirrors import Mirror

APT_HELPER = Path("/usr/lib/apt/apt-helper")
LONGEST_DOWNLOAD_SECONDS = 600
_UNCHANGING = re.compile(r"(\.deb|/by-hash/\w+/\w+)$")


class MirrorFailed(RuntimeError):
    """The mirror did not give a file, and no copy is here."""


class FileMissing(MirrorFailed):
    """The mirror says that there is no such file."""


@dataclass(frozen=True, slots=True)
class AptCache:
    """Files of the mirrors, by the plain address under which hosts ask for them."""

    directory: Path
    mirrors: Sequence[Mirror]

    def is_passed_on(self, address: str) -> bool:
        return self._upstream(address) is not None

    def fetch(self, address: str) -> Path:
        """A local copy of a mirror's file. Raises MirrorFailed."""
        upstream = self._upstream(address)
        if upstream is None:
            raise MirrorFailed(f"not of a mirror that this machine's apt is configured with: {address}")
        kept = self.directory / hashlib.sha256(address.encode()).hexdigest()
        if _UNCHANGING.search(address) and kept.exists():
            return kept
        try:
            self._download(upstream, address, kept)
        except FileMissing:
            raise
        except MirrorFailed:
            if not kept.exists():
                raise
        return kept

    def _upstream(self, address: str) -> str | None:
        if ".." in address:
            return None
        for mirror in self.mirrors:
            if address.startswith(f"{mirror.plain_address}/"):
                return mirror.address.rstrip("/") + address.removeprefix(mirror.plain_address)
        return None

    def _download(self, upstream: str, address: str, kept: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory, prefix="part-") as part:
            got = Path(part) / "file"
            command = [str(APT_HELPER), "-o", "Acquire::Retries=2", "download-file", upstream, str(got)]
            answer = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=LONGEST_DOWNLOAD_SECONDS
            )
            if answer.returncode == 0 and got.exists():
                got.replace(kept)
            elif re.search(r"^\s+404 ", answer.stdout, re.MULTILINE):
                raise FileMissing(f"the mirror has no {address}")
            else:
                # What apt printed may name this machine's proxy and its password.
                raise MirrorFailed(f"apt-helper could not download {address}: does `apt-get update` work here?")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A host that was cut off never says goodbye.
    timeout = 60
    cache: AptCache

    def do_GET(self) -> None:
        if not self.cache.is_passed_on(self.path):
            self.send_error(HTTPStatus.FORBIDDEN, "Only this machine's Debian mirrors are passed on")
            return
        try:
            found = self.cache.fetch(self.path)
        except FileMissing:
            self.send_error(HTTPStatus.NOT_FOUND)
        except (MirrorFailed, subprocess.TimeoutExpired) as failure:
            self.send_error(HTTPStatus.BAD_GATEWAY, explain=str(failure))
        else:
            self._send(found)

    def _send(self, found: Path) -> None:
        with found.open("rb") as content:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(found.stat().st_size))
            self.end_headers()
            shutil.copyfileobj(content, self.wfile)

    def log_message(self, *arguments: object) -> None:
        """Tests print nothing of it."""


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A host that is rebooted or cut off in the middle of a download is no failure of the proxy."""


class AptProxy:
    """Threads of this process that serve one cache on any number of own addresses."""

    def __init__(self, cache: AptCache) -> None:
        self._handler = type("_CachedHandler", (_Handler,), {"cache": cache})
        self._servers: dict[tuple[str, int], tuple[_Server, threading.Thread]] = {}

    def listen(self, address: str, port: int = 0) -> str:
        """Serve there too; the URL to put into apt's configuration. The same address twice is served once."""
        if (address, port) not in self._servers:
            server = _Server((address, port), self._handler)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
            thread.start()
            self._servers[address, port] = server, thread
        return f"http://{address}:{self._servers[address, port][0].server_address[1]}"

    def close(self, address: str | None = None) -> None:
        """Stop serving on one address, or on all."""
        for key in [key for key in self._servers if address in {None, key[0]}]:
            server, thread = self._servers.pop(key)
            server.shutdown()
            server.server_close()
            thread.join()
