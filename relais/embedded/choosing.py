"""Which programs a stack runs: the system's where they will do, else the distribution's, fetched when asked for."""

from collections.abc import Callable
from pathlib import Path

from relais.embedded import packages, programs
from relais.embedded.problem import StackProblem
from relais.embedded.users import ServerUser, reachable

__all__ = ["Programs"]


class Programs:
    """The programs for stacks that share a folder of unpacked packages."""

    def __init__(self, packages: Path, tell: Callable[[str], None]) -> None:
        self._packages = packages
        self._tell = tell

    @classmethod
    def of_stack(cls, root: Path, user: ServerUser | None, tell: Callable[[str], None]) -> "Programs":
        """Those of the stack at `root`: packages lie in the project's `.relais` that `root` is or lies in."""
        shared = next((folder for folder in (root, *root.parents) if folder.name == ".relais"), root)
        return cls(reachable(shared / "packages", user), tell)

    def postgres(self) -> programs.PostgresPrograms:
        """PostgreSQL with PostGIS; raises StackProblem."""
        found = programs.installed_postgres() or programs.unpacked_postgres(self._tree(packages.SERVERS))
        if found is None:
            raise StackProblem(
                f"The PostgreSQL unpacked under {self._packages} does not work. Your data is safe. What to "
                f"do: remove {self._packages} and start again; it is fetched anew."
            )
        return found

    def redis(self) -> programs.RedisProgram:
        """Redis; raises StackProblem."""
        return programs.installed_redis() or programs.unpacked_redis(self._tree(packages.SERVERS))

    def pgbackrest(self) -> programs.Program:
        """pgBackRest; raises StackProblem."""
        return self._program("pgbackrest", packages.PGBACKREST, "usr/bin/pgbackrest")

    def pgbouncer(self) -> programs.Program:
        """PgBouncer; raises StackProblem."""
        return self._program("pgbouncer", packages.PGBOUNCER, "usr/sbin/pgbouncer")

    def _program(self, name: str, wanted: packages.Wanted, place: str) -> programs.Program:
        return programs.installed_program(name) or programs.unpacked_program(self._tree(wanted), place)

    def _tree(self, wanted: packages.Wanted) -> Path:
        return packages.unpacked_packages(self._packages, tell=self._tell, wanted=wanted)
