"""The distribution's own PostgreSQL, PostGIS and Redis, or pgBackRest, unpacked into a folder of the project.

`apt-get download` and `dpkg-deb -x` need no root and change nothing outside that folder. Taken is what the
servers load and the machine lacks; the rest of the closure (LLVM, GDAL, SFCGAL, Perl wrappers) is left out.
The packages are verified by apt against the distribution's signatures.
"""

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relais.embedded.problem import StackProblem
from relais.embedded.users import keep_theirs, open_folder

_OUR_OWN = re.compile(r"(postgresql-\d|redis-)")
_LEFT_OUT = re.compile(
    r"libllvm|libgdal|libsfcgal|perl|libperl|postgresql-common|postgresql-client-common|ssl-cert|locales"
    r"|tzdata|debconf|init-system-helpers|lsb-base|sysvinit-utils|adduser|ucf|libc6$|libc-bin|systemd"
)
_DEPENDS = re.compile(r"^ (?P<more>[| ])(?:Pre)?Depends: (?P<virtual><)?(?P<name>[^>:\s]+)")
_PROVIDER = re.compile(r"^    (?P<name>[^:\s]+)$")
_FETCH_SECONDS = 900

Requirements = Mapping[str, Sequence[Sequence[str]]]
"""For each package what it depends on; each requirement is its alternatives, the preferred one first."""


@dataclass(frozen=True)
class Wanted:
    """Programs to fetch together: their folder, how people call them, and their packages."""

    folder: str
    """Its last number is raised when other packages are wanted, so that kept folders are fetched anew."""
    called: str
    by_hand: str
    """What to do where they cannot be fetched."""
    roots: Callable[["_Apt"], list[str]]
    """The packages by name; none when the lists lack them."""
    programs: Sequence[str]
    """Patterns of the files whose libraries must all be found."""


def unpacked_packages(packages: Path, *, tell: Callable[[str], None], wanted: Wanted | None = None) -> Path:
    """The folder with the unpacked programs, fetched at the first call; raises StackProblem when that fails.

    The servers where nothing else is wanted. `packages` may be shared by several stacks and processes: one fetches,
    the others wait for it.
    """
    wanted = wanted or SERVERS
    tree = packages / f"{_system_name()}-{wanted.folder}"
    if tree.is_dir():
        return tree
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise StackProblem(
            f"{wanted.called} cannot be found here, and this is not a Debian or Ubuntu machine from whose packages it "
            f"could be taken. {wanted.by_hand}"
        )
    open_folder(packages)
    with _one_at_a_time(packages / "lock"):
        if not tree.is_dir():
            for interrupted in packages.glob("new-*"):
                shutil.rmtree(interrupted)
            with tempfile.TemporaryDirectory(prefix="new-", dir=packages) as scratch:
                _fetch(Path(scratch), wanted, tell).rename(tree)
                keep_theirs(tree)
    return tree


def unpacked_package(packages: Path, name: str, *, tell: Callable[[str], None]) -> Path | None:
    """The folder with one more package of the distribution, fetched at the first call; None where it cannot be had."""
    tree = packages / f"{name}-{_system_name()}"
    if tree.is_dir() or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return tree if tree.is_dir() else None
    open_folder(packages)
    with _one_at_a_time(packages / "lock"), tempfile.TemporaryDirectory(prefix="new-", dir=packages) as scratch:
        apt = _Apt(Path(scratch))
        tell(f"Fetching {name} from your distribution (once) ...")
        if not apt.download([name]):
            apt.update_lists_of_our_own()
            if not apt.download([name]):
                tell(f"It could not be had.{apt.last_words}")
                return None
        made = Path(scratch) / "tree"
        made.mkdir()
        for package in apt.downloads.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), str(made)])
        made.chmod(0o755)
        made.rename(tree)
        keep_theirs(tree)
    return tree


def library_environment(tree: Path) -> dict[str, str]:
    """What the programs of an unpacked `tree` need in their environment to find its libraries and grids."""
    folders = [*tree.glob("usr/lib/*-linux-gnu*"), *tree.glob("lib/*-linux-gnu*")]
    # A library of sound that browsers load has a part of its own in a folder beside it.
    folders += [each for folder in folders for each in folder.glob("pulseaudio")]
    proj = str(tree / "usr/share/proj")
    return {"LD_LIBRARY_PATH": ":".join(map(str, folders)), "PROJ_DATA": proj, "PROJ_LIB": proj}


def read_requirements(listing: str) -> Requirements:
    """Read the answer of `apt-cache depends --recurse`."""
    requirements: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    open_group = False
    for line in listing.splitlines():
        if line and not line[0].isspace():
            current = requirements.setdefault(line.strip("<>"), [])
            open_group = False
        elif found := _DEPENDS.match(line):
            if not open_group:
                current.append([])
            if not found["virtual"]:
                current[-1].append(found["name"])
            open_group = found["more"] == "|"
        elif (provider := _PROVIDER.match(line)) and current:
            current[-1].append(provider["name"])
    return requirements


def wanted_packages(roots: Sequence[str], requirements: Requirements, installed: Collection[str]) -> list[str]:
    """The roots and everything they load that is not `installed`, without what a server never loads."""
    wanted: dict[str, None] = {}
    to_look_at = list(roots)
    while to_look_at:
        name = to_look_at.pop()
        if name in wanted:
            continue
        wanted[name] = None
        for alternatives in requirements.get(name, ()):
            ours = [one for one in alternatives if _OUR_OWN.match(one)]
            if ours:
                # Also when the machine has it: PostgreSQL may be there without PostGIS.
                to_look_at.append(ours[0])
            elif alternatives and not any(one in installed or _LEFT_OUT.match(one) for one in alternatives):
                to_look_at.append(alternatives[0])
    return sorted(wanted)


def _fetch(scratch: Path, wanted: Wanted, tell: Callable[[str], None]) -> Path:
    apt = _Apt(scratch)
    names = _choose(apt, wanted)
    if not names:
        tell("Reading your distribution's package lists (a copy of our own; the system's stay as they are) ...")
        apt.update_lists_of_our_own()
        names = _choose(apt, wanted)
    if not names:
        raise StackProblem(
            f"{wanted.called}: needed, and your distribution's package lists do not offer it or could not be read."
            f"{apt.last_words} {wanted.by_hand}"
        )
    tell(f"Fetching {wanted.called} from your distribution ({len(names)} packages, once) ...")
    if not apt.download(names):
        # Lists that are some weeks old name versions that the mirrors no longer keep.
        apt.update_lists_of_our_own()
        names = _choose(apt, wanted)
        if not names or not apt.download(names):
            raise StackProblem(
                f"{wanted.called} could not be fetched from your distribution; is this machine offline?"
                f"{apt.last_words} {wanted.by_hand}"
            )
    tree = scratch / "tree"
    tree.mkdir()
    for package in sorted(apt.downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(tree)])
    for unneeded in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/debug", "etc"):
        shutil.rmtree(tree / unneeded, ignore_errors=True)
    _link_extensions(tree)
    _check_libraries(tree, wanted)
    tree.chmod(0o755)
    return tree


def _choose(apt: "_Apt", wanted: Wanted) -> list[str]:
    """The packages to fetch, or none when the lists lack what is wanted."""
    roots = wanted.roots(apt)
    if not roots:
        return []
    listing = apt.query(
        "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
        "--no-replaces", "--no-enhances", *roots,
    )  # fmt: skip
    requirements = read_requirements(listing)
    if not all(root in requirements for root in roots):
        return []
    return wanted_packages(roots, requirements, _installed())


def _newest_servers(apt: "_Apt") -> list[str]:
    offered = apt.query("search", "--names-only", r"^postgresql-[0-9]+-postgis-3$")
    numbers = [int(n) for n in re.findall(r"^postgresql-(\d+)-postgis-3 ", offered, re.MULTILINE)]
    if not numbers:
        return []
    newest = max(numbers)
    return [f"postgresql-{newest}", f"postgresql-{newest}-postgis-3", "redis-server", "redis-tools"]


SERVERS = Wanted(
    "1",
    "PostgreSQL with PostGIS, and Redis",
    "Nothing on this machine was changed. What to do: install them by hand with "
    "`sudo apt-get install postgresql-postgis redis-server` or your system's own packages, then start again; or set "
    "RELAIS_DATABASE_URL and RELAIS_REDIS_URL to servers that you already have.",
    _newest_servers,
    ("usr/lib/postgresql/*/bin/postgres", "usr/lib/postgresql/*/lib/postgis-3.so", "usr/bin/redis-server"),
)
PGBACKREST = Wanted(
    "pgbackrest-1",
    "pgBackRest",
    "Nothing on this machine was changed. What to do: install it by hand with `sudo apt-get install pgbackrest` or "
    "your system's own packages, then try again.",
    lambda _: ["pgbackrest"],
    ("usr/bin/pgbackrest",),
)
PGBOUNCER = Wanted(
    "pgbouncer-1",
    "PgBouncer",
    "Nothing on this machine was changed. What to do: install it by hand with `sudo apt-get install pgbouncer` or "
    "your system's own packages, then try again.",
    lambda _: ["pgbouncer"],
    ("usr/sbin/pgbouncer",),
)


class _Apt:
    """apt over the system's sources, with state, cache and (when needed) lists in a folder of our own."""

    def __init__(self, scratch: Path) -> None:
        self.downloads = scratch / "downloads"
        self.last_words = ""
        self._configuration = scratch / "apt.conf"
        self._lists = scratch / "lists"
        for folder in (self.downloads, self._lists / "partial", scratch / "cache/archives/partial"):
            folder.mkdir(parents=True)
        # An empty status: the newest version the lists offer is taken, whatever version the machine has.
        (scratch / "status").touch()
        self._settings = [
            f'Dir::State::status "{scratch}/status";',
            f'Dir::Cache "{scratch}/cache";',
            'Debug::NoLocking "1";',
            'APT::Sandbox::User "";',
            'Acquire::Retries "2";',
            'Acquire::http::Timeout "30";',
            'Acquire::https::Timeout "30";',
            'Acquire::Languages "none";',
            # The system's hooks clean the system's caches, and fail for an ordinary user.
            *(f"#clear APT::Update::{hook};" for hook in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")),
        ]
        self._write()

    def _write(self) -> None:
        self._configuration.write_text("\n".join(self._settings) + "\n")

    def update_lists_of_our_own(self) -> None:
        self._settings.append(f'Dir::State::lists "{self._lists}";')
        self._write()
        # A third party's source that fails leaves the distribution's lists usable.
        self._apt("apt-get", "-qq", "update")

    def query(self, *arguments: str) -> str:
        return self._apt("apt-cache", *arguments).stdout

    def download(self, names: Sequence[str]) -> bool:
        return self._apt("apt-get", "-qq", "download", *names).returncode == 0

    def _apt(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        result = _run([program, "-c", str(self._configuration), *arguments], folder=self.downloads)
        errors = [line for line in result.stderr.splitlines() if line.startswith("E:")]
        if errors:
            self.last_words = f" (apt says: {errors[-1][2:].strip()})"
        return result


def _link_extensions(tree: Path) -> None:
    # Debian makes these links when a package is installed: postgis.control -> postgis-3.control
    for control in tree.glob("usr/share/postgresql/*/extension/*-3.control"):
        link = control.with_name(control.name.replace("-3.control", ".control"))
        if not link.exists():
            link.symlink_to(control.name)


def _check_libraries(tree: Path, wanted: Wanted) -> None:
    environment = {"PATH": "/usr/bin:/bin", **library_environment(tree)}
    programs = [program for pattern in wanted.programs for program in tree.glob(pattern)]
    answers = [_run(["ldd", str(program)], environment=environment).stdout for program in programs]
    missing = sorted(set(re.findall(r"(\S+) => not found", "\n".join(answers))))
    if missing:
        raise StackProblem(
            f"What was fetched ({wanted.called}) lacks libraries of this machine: {', '.join(missing)}. "
            f"{wanted.by_hand}"
        )


def _installed() -> frozenset[str]:
    answer = _run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"])
    return frozenset(line.split()[1] for line in answer.stdout.splitlines() if line.startswith("ii "))


def _run(
    command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            cwd=folder,
            env={**(environment or os.environ), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StackProblem(
            f"`{command[0]}` did not answer for {_FETCH_SECONDS} seconds. Nothing was changed."
        ) from error


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # released by the kernel, also when this process is killed
        yield


def _system_name() -> str:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {"ID": "linux"}
    return f"{system['ID']}-{system.get('VERSION_ID', 'rolling')}-{platform.machine()}"
