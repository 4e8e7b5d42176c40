"""`penguin-infra doctor`: looks at the surroundings that the fleet depends on, and says what helps.

Each check stands in a module of its own (`doctor_dns.py`); here is their order, how findings are shown, and the exit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import typer
from rich.markup import escape

from penguin_infra.cli import doctor_dns
from penguin_infra.cli.findings import Check, Finding, Verdict
from penguin_infra.cli.output import EXPECTED_ERRORS, AsJson, console, notes, print_json, wire
from penguin_infra.wiring import Wiring

EXIT_CODES = {Verdict.WELL: 0, Verdict.LOOK: 1, Verdict.BROKEN: 2}

_STYLES = {Verdict.WELL: "green", Verdict.LOOK: "yellow", Verdict.BROKEN: "bold red"}


def look_at_settings(fleet: Wiring) -> Iterator[Finding]:
    """Whether the settings, the policy file and the catalogue can be used at all."""
    words = f"{len(fleet.blacklists)} blacklists are enabled"
    yield Finding("settings", str(fleet.settings.policy_file or "defaults"), Verdict.WELL, words)


# In this order; what a later one needs an earlier one has looked at.
CHECKS: Sequence[Check] = (Check("settings", look_at_settings), doctor_dns.CHECK)


def doctor(as_json: AsJson = False) -> None:
    """Look at what the fleet depends on: its settings, its resolvers, and what every blacklist tells each of them.

    Lists refuse public resolvers (127.255.255.254), some want the resolver registered, and one that fails its test
    points is not believed: each is said with what helps. Each list is asked a handful of questions.

    Exit code: 0 all is well, 1 something wants a look, 2 something is broken.

    Example: penguin-infra doctor
    """
    found: list[Finding] = []
    for finding in _findings():
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([asdict(one) for one in found])
    raise typer.Exit(max(EXIT_CODES[one.verdict] for one in found))


def _findings() -> Iterator[Finding]:
    try:
        fleet = wire()
    except EXPECTED_ERRORS as error:
        yield Finding("settings", "", Verdict.BROKEN, str(error))
        return
    for check in CHECKS:
        try:
            with notes.status(f"looking at the {check.name}"):
                found = list(check.look(fleet))
        except EXPECTED_ERRORS as error:
            yield Finding(check.name, "", Verdict.BROKEN, str(error))
            # The others stand on this one.
            return
        yield from found


def _print(finding: Finding) -> None:
    verdict = f"[{_STYLES[finding.verdict]}]{finding.verdict:<6}[/]"
    place = f"{finding.check} {finding.subject}".strip()
    console.print(f"{verdict} {escape(f'{place}: {finding.words}')}", soft_wrap=True)
    if finding.remedy:
        console.print(f"       {escape(finding.remedy)}", soft_wrap=True)
