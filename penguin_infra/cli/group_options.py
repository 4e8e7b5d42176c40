"""Groups that are commands too: options given to the group are none of its sub-command's, and must not be lost."""

import typer


def refuse_lost_options(context: typer.Context) -> None:
    """Raise `typer.BadParameter` where options stand before the sub-command, which would not see them."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name) if parameter.name else None
        if source is not None and source.name == "COMMANDLINE":
            words = f"stands before {context.invoked_subcommand}, which takes its options behind its name"
            raise typer.BadParameter(words, param_hint=parameter.opts[0])
