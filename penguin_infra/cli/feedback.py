"""`penguin-infra feedback`: complaints that mailbox providers mail to us, read from where the mail server put them."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError

from penguin_infra.cli.output import AsJson, notes, show, stop, told_in_words, wire
from penguin_infra.domain.complaint import NotFeedback
from penguin_infra.operations.record_complaint import record_complaint
from penguin_infra.store.database import explain
from penguin_infra.wiring import Wiring

app = typer.Typer(help="Complaints, as mailbox providers report them.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Complaints, as mailbox providers report them."""


@app.command("read-maildir")
@told_in_words
def read_maildir(
    directory: Annotated[Path, typer.Argument(help="The Maildir: the folder that holds new/ and cur/.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; keep and move nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the feedback reports (ARF) in a Maildir's new/, and move each mail that was read to cur/.

    Each report counts once, however often it is read. Mail that is no report is moved too, and named here.

    Example: penguin-infra feedback read-maildir /var/mail/fbl --dry-run
    """
    new, cur = directory / "new", directory / "cur"
    if not new.is_dir() or not cur.is_dir():
        stop(f"{directory} is no Maildir: it has no new/ and cur/", code=2)
    fleet = wire()
    rows = []
    for mail in sorted(new.iterdir()):
        if mail.is_file() and (row := _read(fleet, mail, is_dry=dry_run)):
            rows.append(row)
            if not dry_run:
                # After the commit: a mail that is read again counts once, one that was lost would not count at all.
                mail.rename(cur / f"{mail.name}:2,S")
    columns = {"mail": "mail", "outcome": "outcome", "node_id": "node", "reason": "why"}
    show(rows, columns, as_json=as_json, empty=f"No new mail in {directory}.")
    if rows:
        counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(_outcomes(rows)).items()))
        notes.print(f"{'Would have read' if dry_run else 'Read'} {len(rows)}: {counted}", highlight=False)


def _read(fleet: Wiring, mail: Path, *, is_dry: bool) -> dict[str, object] | None:
    try:
        raw = mail.read_bytes()
    except FileNotFoundError:
        return None  # another reader was faster
    row: dict[str, object] = {"mail": mail.name, "outcome": "not_feedback", "node_id": None, "reason": None}
    try:
        with fleet.engine.connect() as connection:
            recorded = record_complaint(connection, raw, fleet.clock.now())
            connection.rollback() if is_dry else connection.commit()
    except NotFeedback as error:
        return row | {"reason": str(error)}
    except DBAPIError as error:
        raise explain(error, fleet.database_url) from None
    outcome = recorded.attribution if recorded.is_new else "known_already"
    return row | {"outcome": outcome, "node_id": recorded.node_id}


def _outcomes(rows: list[dict[str, object]]) -> list[str]:
    return [str(row["outcome"]) for row in rows]
