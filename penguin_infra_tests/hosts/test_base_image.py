"""Bases and packages are kept: an interrupted build leaves no half base, and a mirror that went away is not missed."""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from penguin_infra_tests.hosts.apt_proxy import AptCache, FileMissing, MirrorFailed
from penguin_infra_tests.hosts.base_image import ensure_base
from penguin_infra_tests.hosts.mirrors import Mirror
from penguin_infra_tests.hosts.ssh_access import key_pair
from penguin_infra_tests.waiting import until

# A shell that starts tests in the background lets its children ignore the signal.
_BUILD = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from penguin_infra_tests.hosts.base_image import ensure_base
ensure_base()
"""
# A host names a mirror without its port.
PACKAGE = "http://127.0.0.1/debian/pool/a.deb"
INDEX = "http://127.0.0.1/debian/dists/stable/InRelease"


class Mirrored(http.server.ThreadingHTTPServer):
    """A mirror on loopback that serves one folder."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None: ...


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirrored]:
    files = tmp_path / "mirror/debian"
    for name, content in (("pool/a.deb", "package"), ("dists/stable/InRelease", "index")):
        (files / name).parent.mkdir(parents=True)
        (files / name).write_text(content)
    server = Mirrored(("127.0.0.1", 0), partial(_Quiet, directory=str(files.parent)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(hosts_ready: None, mirror: Mirrored, tmp_path: Path) -> AptCache:
    return AptCache(tmp_path / "cache", [Mirror("stable", f"http://127.0.0.1:{mirror.server_port}/debian")])


def test_a_kept_package_needs_no_mirror(cache: AptCache, mirror: Mirrored) -> None:
    assert cache.fetch(PACKAGE).read_text() == "package"
    assert cache.fetch(INDEX).read_text() == "index"

    mirror.shutdown()
    mirror.server_close()

    assert cache.fetch(PACKAGE).read_text() == "package"
    assert cache.fetch(INDEX).read_text() == "index"


def test_an_index_is_asked_for_again_while_the_mirror_is_there(cache: AptCache, tmp_path: Path) -> None:
    cache.fetch(INDEX)
    (tmp_path / "mirror/debian/dists/stable/InRelease").write_text("newer")

    assert cache.fetch(INDEX).read_text() == "newer"


def test_a_file_that_the_mirror_lacks_is_missing(cache: AptCache) -> None:
    with pytest.raises(FileMissing):
        cache.fetch(PACKAGE.replace("a.deb", "b.deb"))


def test_only_the_mirrors_are_passed_on(cache: AptCache, mirror: Mirrored) -> None:
    for address in (f"http://127.0.0.1:{mirror.server_port}/debian/pool/a.deb", "http://127.0.0.1/debian/../secret"):
        with pytest.raises(MirrorFailed, match="not of a mirror"):
            cache.fetch(address)


def test_a_mirrors_credentials_stay_on_this_machine() -> None:
    mirror = Mirror("bookworm", "https://someone:hidden@packages.test:8443/debian")

    assert mirror.plain_address == "http://packages.test/debian"
    assert "hidden" not in mirror.source_line + repr(mirror)


def test_the_key_that_opens_every_host_is_its_owners_alone(hosts_ready: None) -> None:
    private, _ = key_pair()

    assert private.stat().st_mode & 0o777 == 0o600


def test_a_finished_base_is_used_again_and_shares_no_host_key(hosts_ready: None) -> None:
    base = ensure_base()

    assert ensure_base() == base
    assert list((base / "etc/ssh").glob("ssh_host_*")) == []
    assert (base / "etc/machine-id").read_text() == ""


def test_an_interrupted_build_leaves_no_base_and_no_mount(hosts_ready: None, tmp_path: Path) -> None:
    environment = {**os.environ, "PENGUIN_TEST_CACHE": str(tmp_path)}
    build = subprocess.Popen([sys.executable, "-c", _BUILD], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 180
    while not list(tmp_path.glob("building-*/var/lib/dpkg")):
        assert build.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)

    build.send_signal(signal.SIGINT)

    # It unmounts and deletes thousands of files.
    assert build.wait(180) != 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("base-", "building-"))] == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    until("nobody builds any more", lambda: not _builders(tmp_path))


def _builders(folder: Path) -> list[list[str]]:
    """Command lines that name the folder, of whatever a build started."""
    known = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [builder for builder in known if any(str(folder) in argument for argument in builder)]
