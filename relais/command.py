"""The `relais` command: every act of an operator, one sub-command each."""

import typer

from relais.address_keys import keys_commands
from relais.audit import audit_commands
from relais.backups.commands import backup, restore
from relais.competence import competence_commands
from relais.demo import demo
from relais.doctor import doctor
from relais.evidence import evidence_commands
from relais.feed import feed_commands
from relais.importing.commands import import_commands
from relais.migrations import migrate, migration_commands
from relais.moving import export
from relais.organizations import key_commands, org_commands
from relais.policy import policy_commands
from relais.signing_in import sign_in_commands
from relais.solve import solve
from relais.tombstones import tombstone_commands
from relais.up import stop, up
from relais.whatif import whatif

__all__ = ["main"]

main = typer.Typer(
    name="relais",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Relais: mutual-aid coordination and urgent-shelter matching.",
)
main.command("demo")(demo)
main.command("up")(up)
main.command("stop")(stop)
main.command("export")(export)
main.command("migrate")(migrate)
main.command("backup")(backup)
main.command("restore")(restore)
main.command("doctor")(doctor)
main.command("solve")(solve)
main.command("whatif")(whatif)
main.add_typer(import_commands, name="import")
main.add_typer(migration_commands, name="migrations")
main.add_typer(org_commands, name="org")
main.add_typer(key_commands, name="key")
main.add_typer(keys_commands, name="keys")
main.add_typer(sign_in_commands, name="sign-in")
main.add_typer(audit_commands, name="audit")
main.add_typer(tombstone_commands, name="tombstones")
main.add_typer(feed_commands, name="feed")
main.add_typer(policy_commands, name="policy")
main.add_typer(competence_commands, name="competence")
main.add_typer(evidence_commands, name="evidence")
