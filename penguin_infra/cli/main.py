"""The command `penguin-infra`: every sub-command in its place, and nothing else."""

import typer

from penguin_infra.cli import (
    actions,
    alerts,
    costs,
    database,
    feedback,
    fleet,
    gateway,
    keys,
    lab_dns,
    lab_hostwind,
    lab_nodes,
    lists,
    nodes,
    reputation,
    sink,
)
from penguin_infra.cli.check_ip import check_ip
from penguin_infra.cli.cost_reconciling import reconcile
from penguin_infra.cli.doctor import doctor
from penguin_infra.cli.lab_demand import demand
from penguin_infra.cli.output import EXPECTED_ERRORS
from penguin_infra.cli.plan import plan
from penguin_infra.cli.policy import policy
from penguin_infra.cli.report import report

app = typer.Typer(
    name="penguin-infra",
    help="Runs a fleet of e-mail sending nodes by itself: brings it up, and lets operators look and ask.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold secrets
    context_settings={"help_option_names": ["-h", "--help"]},
)
lab = typer.Typer(help="The lab: make things happen, and see what the fleet does about them.", no_args_is_help=True)
for part in (lab_dns.app, lab_hostwind.app, lab_nodes.app):
    lab.add_typer(part)
lab.command()(demand)

fleet.register(app, database.prepare, expected_errors=EXPECTED_ERRORS)
app.add_typer(nodes.app, name="nodes")
app.add_typer(keys.app, name="keys")
app.add_typer(actions.app, name="actions")
app.add_typer(alerts.app, name="alerts")
app.add_typer(lists.app, name="lists")
app.add_typer(feedback.app, name="feedback")
costs.app.command()(reconcile)
app.add_typer(costs.app, name="costs")
app.add_typer(reputation.app, name="reputation")
app.command()(check_ip)
app.command()(doctor)
app.command()(actions.freeze)
app.command()(actions.thaw)
app.command()(plan)
app.command()(policy)
app.command()(report)
app.add_typer(database.app, name="db")
app.add_typer(gateway.app, name="gateway")
app.add_typer(sink.app, name="sink")
app.add_typer(lab, name="lab")
