"""`penguin-infra policy`: every limit that the rules work with, and where each comes from."""

from penguin_infra.cli.output import AsJson, show, told_in_words, wire
from penguin_infra.policy_file import limits_in_force


@told_in_words
def policy(as_json: AsJson = False) -> None:
    """Show every limit in force: its section and name in the policy file, its value, its default, and its source.

    Example: penguin-infra policy
    """
    fleet = wire()
    path = fleet.settings.policy_file
    limits = limits_in_force(path, blacklist_file=fleet.settings.blacklist_file, blacklist_keys=fleet.blacklist_keys)
    rows = [
        {
            "section": limit.section,
            "name": limit.name,
            "value": limit.value,
            "default": limit.default,
            "source": str(path) if limit.is_from_file else "default",
        }
        for limit in limits
    ]
    columns = {"section": "section", "name": "limit", "value": "value", "default": "default", "source": "from"}
    show(rows, columns, as_json=as_json, empty="No limits.")
