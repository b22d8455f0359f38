"""Acting in a role of the database, and for an organization, as the processes do."""

from uuid import UUID

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from db.roles import Role

__all__ = ["in_role"]


def in_role(engine: AsyncEngine, role: Role, organization: UUID | str | None = None) -> AsyncEngine:
    """The same connections; each transaction begins in this role, and for this organization if one is given."""
    acting = engine.execution_options(role=role)

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"set local role {role}")
        if organization is not None:
            connection.exec_driver_sql(f"set local relais.organization = '{organization}'")

    event.listen(acting.sync_engine, "begin", begin)
    return acting
