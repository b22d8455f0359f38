"""The distribution's own PostgreSQL, PostGIS and Redis, unpacked into a folder of the project.

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
from pathlib import Path

from relais.embedded.problem import BY_HAND, StackProblem
from relais.embedded.users import keep_theirs, open_folder

_RECIPE = 1  # raise it when another set of packages is wanted, so that kept folders are fetched anew
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


def unpacked_packages(packages: Path, *, tell: Callable[[str], None]) -> Path:
    """The folder with the unpacked programs, fetched at the first call; raises StackProblem when that fails.

    `packages` may be shared by several stacks and processes: one fetches, the others wait for it.
    """
    tree = packages / _tree_name()
    if tree.is_dir():
        return tree
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise StackProblem(
            "PostgreSQL with PostGIS and Redis are not installed here, and this is not a Debian or Ubuntu "
            "machine from whose packages they could be taken. Nothing was changed. What to do: install them "
            "with your system's packages, or set RELAIS_DATABASE_URL and RELAIS_REDIS_URL."
        )
    open_folder(packages)
    with _one_at_a_time(packages / "lock"):
        if not tree.is_dir():
            for interrupted in packages.glob("new-*"):
                shutil.rmtree(interrupted)
            with tempfile.TemporaryDirectory(prefix="new-", dir=packages) as scratch:
                _fetch(Path(scratch), tell).rename(tree)
                keep_theirs(tree)
    return tree


def library_environment(tree: Path) -> dict[str, str]:
    """What the programs of an unpacked `tree` need in their environment to find its libraries and grids."""
    folders = [*tree.glob("usr/lib/*-linux-gnu*"), *tree.glob("lib/*-linux-gnu*")]
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


def _fetch(scratch: Path, tell: Callable[[str], None]) -> Path:
    apt = _Apt(scratch)
    names = _choose(apt)
    if not names:
        tell("Reading your distribution's package lists (a copy of our own; the system's stay as they are) ...")
        apt.update_lists_of_our_own()
        names = _choose(apt)
    if not names:
        raise StackProblem(
            "PostgreSQL with PostGIS and Redis are needed, and your distribution's package lists do not "
            f"offer them or could not be read.{apt.last_words} {BY_HAND}"
        )
    tell(f"Fetching PostgreSQL, PostGIS and Redis from your distribution ({len(names)} packages, once) ...")
    if not apt.download(names):
        # Lists that are some weeks old name versions that the mirrors no longer keep.
        apt.update_lists_of_our_own()
        names = _choose(apt)
        if not names or not apt.download(names):
            raise StackProblem(
                "PostgreSQL with PostGIS and Redis could not be fetched from your distribution; is this "
                f"machine offline?{apt.last_words} {BY_HAND}"
            )
    tree = scratch / "tree"
    tree.mkdir()
    for package in sorted(apt.downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(tree)])
    for unneeded in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/debug", "etc"):
        shutil.rmtree(tree / unneeded, ignore_errors=True)
    _link_extensions(tree)
    _check_libraries(tree)
    tree.chmod(0o755)
    return tree


def _choose(apt: "_Apt") -> list[str]:
    """The packages to fetch, or none when the lists lack PostGIS or Redis."""
    offered = apt.query("search", "--names-only", r"^postgresql-[0-9]+-postgis-3$")
    numbers = sorted((int(n) for n in re.findall(r"^postgresql-(\d+)-postgis-3 ", offered, re.MULTILINE)), reverse=True)
    if not numbers:
        return []
    newest = numbers[0]
    roots = [f"postgresql-{newest}", f"postgresql-{newest}-postgis-3", "redis-server", "redis-tools"]
    listing = apt.query(
        "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
        "--no-replaces", "--no-enhances", *roots,
    )  # fmt: skip
    requirements = read_requirements(listing)
    if not all(root in requirements for root in roots):
        return []
    return wanted_packages(roots, requirements, _installed())


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


def _check_libraries(tree: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", **library_environment(tree)}
    programs = [
        *tree.glob("usr/lib/postgresql/*/bin/postgres"),
        *tree.glob("usr/lib/postgresql/*/lib/postgis-3.so"),
        tree / "usr/bin/redis-server",
    ]
    answers = [_run(["ldd", str(program)], environment=environment).stdout for program in programs]
    missing = sorted(set(re.findall(r"(\S+) => not found", "\n".join(answers))))
    if missing:
        raise StackProblem(f"The fetched servers lack libraries of this machine: {', '.join(missing)}. {BY_HAND}")


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
        raise StackProblem(f"`{command[0]}` did not answer for {_FETCH_SECONDS} seconds. {BY_HAND}") from error


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # released by the kernel, also when this process is killed
        yield


def _tree_name() -> str:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {"ID": "linux"}
    return f"{system['ID']}-{system.get('VERSION_ID', 'rolling')}-{platform.machine()}-{_RECIPE}"
