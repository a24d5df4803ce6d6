"""The `aforo` command: every command of the product is registered here."""

import os
import sys

import typer

from aforo.commands.check import check
from aforo.commands.demo import demo
from aforo.commands.edge import edge, edge_key
from aforo.commands.guards import guards_app
from aforo.commands.import_file import import_file
from aforo.commands.installation import manage
from aforo.commands.probe import probe
from aforo.commands.replay import replay
from aforo.commands.tenant import tenant_app
from aforo.commands.up import up
from aforo.commands.verify import verify
from aforo.embedded.processes import StackError

app = typer.Typer(
    help="Usage metering and billing that engineers trust with money.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(up)
app.command()(demo)
app.command()(verify)
app.command()(check)
app.command()(replay)
app.command()(probe)
app.command()(edge)
app.command()(edge_key)
app.command("import")(import_file)
app.add_typer(tenant_app, name="tenant")
app.add_typer(guards_app, name="guards")
app.command(context_settings={"ignore_unknown_options": True})(manage)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")
    try:
        app()
    except StackError as error:
        sys.exit(f"aforo: {error}")
