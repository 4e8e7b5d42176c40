"""`penguin-infra keys`: secrets for the HTTP API and for nodes' agents. Each is printed once, and cannot be read again.

What a scope may do is the gateway's; how secrets are made is `operations/issue_credentials.py`.
"""

from typing import Annotated

import typer

from penguin_infra.cli.output import (
    AsJson,
    console,
    notes,
    person,
    print_json,
    show,
    told_in_words,
    transaction,
    wire,
)
from penguin_infra.operations.issue_credentials import ROTATION_GRACE, Scope, create_api_key, issue_agent_token
from penguin_infra.store import credentials, nodes

app = typer.Typer(help="Keys of the HTTP API, and tokens of the nodes' agents.", no_args_is_help=True)

KeyName = Annotated[str, typer.Argument(help="Whose key it is, for example dispatcher.")]


@app.command("create")
@told_in_words
def create(
    name: KeyName,
    scope: Annotated[Scope, typer.Option(help="read: look; operate: ask for nodes, report; admin: issue tokens.")],
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, once.

    Example: penguin-infra keys create dispatcher --scope read
    """
    fleet = wire()
    with transaction(fleet) as connection:
        key = create_api_key(connection, name=name, scope=scope, created_by=person(), now=fleet.clock.now())
    _print_secret(key, {"name": name, "scope": scope, "key": key}, as_json=as_json)


@app.command("list")
@told_in_words
def list_keys(as_json: AsJson = False) -> None:
    """List the API keys, those in use first; the secrets themselves are kept nowhere.

    Example: penguin-infra keys list
    """
    with transaction(wire()) as connection:
        rows = [dict(row._mapping) for row in credentials.list_keys(connection)]
    columns = {
        "name": "name", "scope": "scope", "created_by": "by", "created_at": "made (UTC)", "revoked_at": "revoked (UTC)",
    }  # fmt: skip
    show(rows, columns, as_json=as_json, empty="No keys. `penguin-infra keys create NAME --scope read` makes one.")


@app.command("revoke")
@told_in_words
def revoke(name: KeyName) -> None:
    """End an API key at once.

    Example: penguin-infra keys revoke dispatcher
    """
    fleet = wire()
    with transaction(fleet) as connection:
        credentials.revoke_key(connection, name, fleet.clock.now())
    console.print(f"Revoked {name}: its next request is refused.")


@app.command("token")
@told_in_words
def token(
    name: Annotated[str, typer.Argument(help="The node's label, address or id.")],
    is_revoking: Annotated[
        bool, typer.Option("--revoke", help="End the node's tokens at once and make none: one was stolen.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a node's new token and print it, once; the old one works for five more minutes.

    Example: penguin-infra keys token node-dallas-001
    """
    fleet = wire()
    now = fleet.clock.now()
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
        if is_revoking:
            ended = credentials.end_tokens(connection, node.node_id, now)
        else:
            secret = issue_agent_token(connection, node.node_id, now)
    if is_revoking:
        console.print(f"Ended {ended} tokens of {node.label}: its agent is refused within a second or two.")
        return
    notes.print(f"Former tokens of {node.label} end in {ROTATION_GRACE.total_seconds() / 60:.0f} minutes.")
    _print_secret(secret, {"node_id": node.node_id, "label": node.label, "token": secret}, as_json=as_json)


def _print_secret(secret: str, facts: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    # Alone on stdout, so that it can be piped to where it belongs.
    typer.echo(secret)
    notes.print("This is the only time that it is shown.")
