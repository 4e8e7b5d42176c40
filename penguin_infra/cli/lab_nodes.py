"""`penguin-infra lab`: the lab's nodes, and what is made to happen to them while somebody watches."""

import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.markup import escape

from penguin_infra.cli.output import AsJson, console, show, stop, told_in_words
from penguin_infra.cli.supervision import Supervision, SupervisionError
from penguin_infra.lab.node_moods import Scenario
from penguin_infra.lab.nodes import LOOK_SECONDS
from penguin_infra.lab.nodes_server import HOST, serve_nodes
from penguin_infra.messages.telemetry import HEARTBEAT_SECONDS
from penguin_infra.settings import settings

app = typer.Typer(help="The lab's nodes, and scenarios for them.", no_args_is_help=True)

Node = Annotated[str, typer.Argument(help="The node's label, or `all`.")]

_NEXT = {
    Scenario.SILENCE: "its agent is silent: after three missed heartbeats (90 s) it leaves the rotation, then it is "
    "rebooted, which brings it back",
    Scenario.MTA_DOWN: "its mail server is down: it leaves the rotation with the next heartbeat, and is restarted",
    Scenario.BOUNCE_STORM: "half of its mails bounce: an alert opens within two minutes, then it is paused",
    Scenario.COMPLAINTS: "30 complaints a minute come in about it: an alert opens, then it is paused",
    Scenario.FLOOD: "its queue grows by 2,000 mails a minute and its CPU is at 97 %: after two windows of 5 min "
    "([resize] windows in the lab's policy file) it is resized to a larger plan, which ends the flood",
    Scenario.DEFERRALS: "remote hosts put its mail off and its queue grows by 2,000 mails a minute: it is left alone, "
    "and the plan says why",
    Scenario.CALM: "it behaves as usual again",
}


@app.command("serve-nodes", hidden=True)
@told_in_words
def serve(
    port: Annotated[int | None, typer.Option(help="By default PENGUIN_LAB_NODES_PORT.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Where nodes keep their logs; by default in the home.")] = None,
    sink: Annotated[str | None, typer.Option(help="host:port that takes their mails; by default the sink's.")] = None,
    heartbeat_seconds: Annotated[float, typer.Option(min=0.1, help="How often each speaks.")] = HEARTBEAT_SECONDS,
    look_seconds: Annotated[float, typer.Option(min=0.1, help="How often the provider is asked.")] = LOOK_SECONDS,
    history: Annotated[bool, typer.Option(help="New nodes tell what they would have sent before.")] = True,
) -> None:
    """Run the lab's nodes, and the service that installs them, in the foreground; `penguin-infra up` does this for you.

    Example: penguin-infra lab serve-nodes
    """
    known = settings()
    if not (known.lab_api_key and known.hostwind_api_key and known.hostwind_api_secret):
        stop("no lab runs in this home: start it with `penguin-infra up`")
    serve_nodes(
        port=port or known.lab_nodes_port,
        folder=directory or known.home / "lab" / "nodes",
        gateway_url=f"http://{HOST}:{known.gateway_port}",
        api_key=known.lab_api_key.get_secret_value(),
        provider_url=str(known.hostwind_api_url),
        provider_credentials=(known.hostwind_api_key.get_secret_value(), known.hostwind_api_secret.get_secret_value()),
        sink=_address(sink) if sink else (HOST, known.sink_port),
        heartbeat_seconds=heartbeat_seconds,
        look_seconds=look_seconds,
        has_history=history,
    )


@app.command("nodes")
@told_in_words
def list_nodes(as_json: AsJson = False) -> None:
    """Show the lab's nodes: what they pretend, whether their agent speaks, whether they hold their mail.

    Example: penguin-infra lab nodes
    """
    rows = ask_nodes("GET", "/nodes")["nodes"]
    columns = {
        "label": "node", "ip_address": "address", "scenario": "scenario", "is_speaking": "speaks",
        "transport": "transport", "queue": "queue", "reboots": "reboots",
    }  # fmt: skip
    show(rows, columns, as_json=as_json, empty="No lab node runs yet: they begin when a node is installed.")


def _scenario_command(scenario: Scenario, doc: str) -> None:
    def command(node: Node = "all" if scenario is Scenario.CALM else ...) -> None:  # type: ignore[assignment]
        _play(node, scenario)

    command.__doc__ = f"{doc}\n\nExample: penguin-infra lab {scenario} node-dallas-001"
    app.command(scenario.value)(told_in_words(command))


_scenario_command(Scenario.SILENCE, "Let a node's agent fall silent, as if its machine hung.")
_scenario_command(Scenario.MTA_DOWN, "Stop a node's mail server while its agent goes on.")
_scenario_command(Scenario.BOUNCE_STORM, "Let a node send to a bad list: half of its mails bounce.")
_scenario_command(Scenario.COMPLAINTS, "Let recipients call a node's mails spam.")
_scenario_command(Scenario.FLOOD, "Let a node's queue grow far faster than its CPU can send: a larger plan ends it.")
_scenario_command(Scenario.DEFERRALS, "Let remote hosts put most of a node's mail off: no plan of its own would help.")
_scenario_command(Scenario.CALM, "Let a node, or all, behave as usual again.")


@app.command("gateway-outage")
@told_in_words
def gateway_outage(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the gateway is away.")] = 5,
) -> None:
    """Stop the gateway for a while: nodes spool, nobody becomes unhealthy, no count is lost. Ctrl-C ends it early.

    Example: penguin-infra lab gateway-outage --minutes 5
    """
    supervision = Supervision(settings().home)
    try:
        supervision.stop_program("gateway")
    except SupervisionError as error:
        stop(str(error))
    console.print(f"The gateway is stopped for {minutes:g} min; Ctrl-C brings it back at once.")
    try:
        time.sleep(minutes * 60)
    except KeyboardInterrupt:
        console.print("Ended early.")
    finally:
        supervision.start_program("gateway")
    console.print("The gateway is back: the nodes' spools empty themselves within minutes.")


def _play(name: str, scenario: Scenario) -> None:
    labels = [node["label"] for node in ask_nodes("GET", "/nodes")["nodes"]] if name == "all" else [name]
    for label in labels:
        ask_nodes("POST", f"/nodes/{label}/scenario", {"scenario": scenario})
        console.print(f"{label}: {escape(_NEXT[scenario])}.")


def _address(told: str) -> tuple[str, int]:
    host, _, port = told.rpartition(":")
    if not (host and port.isdecimal()):
        stop(f"--sink: {told!r} is not host:port")
    return host, int(port)


def ask_nodes(method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the lab nodes' control; ends the command where it does not answer, or refuses."""
    port = settings().lab_nodes_port
    try:
        answer = httpx.request(method, f"http://{HOST}:{port}{path}", json=body, timeout=60, trust_env=False)
    except httpx.RequestError as error:
        stop(f"the lab's nodes do not answer on port {port} ({error}): is `penguin-infra up` running?")
    told: dict[str, Any] = answer.json()
    if not answer.is_success:
        stop(str(told.get("error", answer.status_code)))
    return told
