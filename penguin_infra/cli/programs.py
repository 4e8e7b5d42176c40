"""The fleet's programs on this machine: their commands, ports and order, and the files they read.

Who starts and watches them is `supervision.py`.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import penguin_infra
from penguin_infra.settings import Settings

LOOPBACK = "127.0.0.1"
CODE_LOCATION = "penguin_infra"
DEFINITIONS_MODULE = "penguin_infra.definitions"

PORT_SETTINGS = {
    "PENGUIN_UI_PORT": "ui_port",
    "PENGUIN_CODE_SERVER_PORT": "code_server_port",
    "PENGUIN_SUPERVISOR_PORT": "supervisor_port",
    "PENGUIN_GATEWAY_PORT": "gateway_port",
}
LAB_PORT_SETTINGS = {
    "PENGUIN_LAB_HOSTWIND_PORT": "lab_hostwind_port",
    "PENGUIN_LAB_DNS_PORT": "lab_dns_port",
    "PENGUIN_LAB_NODES_PORT": "lab_nodes_port",
}
SINK_PORT_SETTINGS = {"PENGUIN_SINK_PORT": "sink_port"}

# Not in the repository's file: `dagster definitions validate` reads that one too, with no database about.
# The URL must be postgresql+psycopg2://; a bare postgresql:// means psycopg 3 to SQLAlchemy 2.1.
_STORAGE = """
storage:
  postgres:
    postgres_url:
      env: PENGUIN_DAGSTER_DATABASE_URL
"""

_LOG_BYTES = 5_000_000
_LOG_BACKUPS = 2


class DagsterConfigMissing(Exception):
    """The repository's `dagster.yaml` is not beside the package; says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process that runs for as long as the fleet does. Lower priority starts earlier and ends later."""

    name: str
    command: Sequence[str]
    priority: int
    port: int | None = None
    # Dagster's web server and daemon keep a failed code location until someone reloads it: they wait for the server.
    waits_for_code_server: bool = False
    stop_seconds: int = 15


def list_programs(
    known: Settings, *, is_lab: bool, is_embedded: bool, definitions_module: str = DEFINITIONS_MODULE
) -> Sequence[Program]:
    """List the fleet's programs in starting order."""
    own = (sys.executable, "-m", "penguin_infra")
    workspace = str(workspace_file(known.home))
    programs = []
    if is_embedded:
        programs.append(Program("postgres", (*own, "db", "keep"), priority=10, stop_seconds=90))
    if is_lab:
        programs += _lab_programs(known, own)
    # One process serves a lab; two keep both cores busy where thousands of nodes speak.
    gateway = (*own, "gateway", "serve", "--port", str(known.gateway_port), "--workers", "1" if is_lab else "2")
    programs.append(Program("gateway", gateway, priority=25, port=known.gateway_port))
    if _has_sink(known, is_lab=is_lab):
        sink = (*own, "sink", "serve", "--port", str(known.sink_port))
        programs.append(Program("sink", sink, priority=25, port=known.sink_port))
    code_server = ("dagster", "api", "grpc", "-m", definitions_module, "--host", LOOPBACK)
    location = ("--port", str(known.code_server_port), "--location-name", CODE_LOCATION)
    webserver = ("dagster_webserver", "-h", LOOPBACK, "-p", str(known.ui_port), "-w", workspace)
    run = (sys.executable, "-m")
    return [
        *programs,
        # Runs are this server's children: they get time to record that they were stopped.
        Program("code-server", (*run, *code_server, *location), 30, known.code_server_port, stop_seconds=25),
        Program("webserver", (*run, *webserver), 40, known.ui_port, waits_for_code_server=True),
        Program(
            "daemon", (*run, "dagster._daemon", "run", "-w", workspace), 50, waits_for_code_server=True, stop_seconds=25
        ),
    ]


def list_ports(known: Settings, *, is_lab: bool) -> dict[str, int]:
    """List the ports that must be free, by the settings that change them."""
    names = PORT_SETTINGS | (LAB_PORT_SETTINGS if is_lab else {})
    if _has_sink(known, is_lab=is_lab):
        names |= SINK_PORT_SETTINGS
    return {name: getattr(known, attribute) for name, attribute in names.items()}


def _lab_programs(known: Settings, own: Sequence[str]) -> list[Program]:
    options = {
        "hostwind": ("--reverse-dns", f"{LOOPBACK}:{known.lab_dns_port}"),
        # Where the lab has a past, former nodes sent what these would tell of.
        "nodes": ("--sink", f"{LOOPBACK}:{known.sink_port}", "--no-history" if known.lab_past else "--history"),
    }
    programs = []
    for name, port, priority in (
        ("hostwind", known.lab_hostwind_port, 20),
        ("dns", known.lab_dns_port, 20),
        # The nodes speak to the gateway: they begin after it.
        ("nodes", known.lab_nodes_port, 60),
    ):
        kept = ("--port", str(port), "--directory", str(known.home / "lab" / name))
        command = (*own, "lab", f"serve-{name}", *kept, *options.get(name, ()))
        programs.append(Program(f"lab-{name}", command, priority=priority, port=port))
    return programs


def _has_sink(known: Settings, *, is_lab: bool) -> bool:
    """A real fleet may verify its nodes' mail elsewhere: it has a sink of its own where it was given a mailbox."""
    return is_lab or known.sink_mailbox is not None


def dagster_home(home: Path) -> Path:
    """Return the folder that Dagster's processes get as DAGSTER_HOME."""
    return home / "dagster"


def workspace_file(home: Path) -> Path:
    """Return the file that tells Dagster's processes where the code server is."""
    return dagster_home(home) / "workspace.yaml"


def write_dagster_files(known: Settings) -> None:
    """Fill DAGSTER_HOME: the repository's `dagster.yaml` with the storage, and the address of the code server.

    Errors: `DagsterConfigMissing`.
    """
    source = Path(penguin_infra.__file__).parent.parent / "dagster.yaml"
    if not source.is_file():
        raise DagsterConfigMissing(f"{source} is missing: run from a clone of the repository (`pip install -e .`)")
    folder = dagster_home(known.home)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "dagster.yaml").write_text(source.read_text(encoding="utf-8") + _STORAGE, encoding="utf-8")
    server = {"host": LOOPBACK, "port": known.code_server_port, "location_name": CODE_LOCATION}
    # JSON is YAML too.
    workspace_file(known.home).write_text(json.dumps({"load_from": [{"grpc_server": server}]}, indent=2) + "\n")


def render_configuration(programs: Sequence[Program], directory: Path, logs: Path, *, port: int, password: str) -> str:
    """Render supervisord's configuration; the programs' secrets come by their environment, not from here."""
    rotation = f"_maxbytes={_LOG_BYTES}", f"_backups={_LOG_BACKUPS}"
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_escaped(logs)}/supervisord.log",
        *(f"logfile{limit}" for limit in rotation),
        f"pidfile={_escaped(directory)}/supervisord.pid",
        f"childlogdir={_escaped(logs)}",
        *(["user=root"] if os.geteuid() == 0 else []),
        # Not a unix socket: its path may not exceed 108 bytes.
        "[inet_http_server]",
        f"port={LOOPBACK}:{port}",
        "username=penguin",
        f"password={password}",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={_escaped(shlex.join(program.command))}",
            f"priority={program.priority}",
            # `up` starts them, since some wait for others.
            "autostart=false",
            "autorestart=true",
            "startsecs=3",
            # Each try waits a second longer than the last: hours without a database are outlived.
            "startretries=200",
            "stopasgroup=true",
            "killasgroup=true",
            f"stopwaitsecs={program.stop_seconds}",
            f"stdout_logfile={_escaped(logs)}/{program.name}.log",
            *(f"stdout_logfile{limit}" for limit in rotation),
            "redirect_stderr=true",
        ]
    return "\n".join(lines) + "\n"


def _escaped(text: object) -> str:
    return str(text).replace("%", "%%")
