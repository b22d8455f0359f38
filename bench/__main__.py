"""`python -m bench [NAME …]`: measure, beside a baseline, and print tables. `python -m bench year` has its own options.

Close what else runs on the machine first: clients, service and servers share its cores.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from os import cpu_count
from platform import machine, python_version
from statistics import median

import asyncpg
from rich.console import Console
from rich.table import Table

from bench import claims, deadlines, pathways, phone
from bench.audit import act_at_once, act_at_rate, link_all
from bench.confined import CannotConfineError
from bench.databases import Servers, own_database, plain_connection, servers
from bench.engine import solve_all
from bench.growth import MILLION, SIZES, grow
from bench.http_path import NOBODY_RINGS, post_at_rate
from bench.online import DAYS, WAYS, live
from bench.open_loop import Latencies
from bench.scale import Measured, measure_all
from bench.sql_path import hold_at_rate, search_both_ways
from bench.staffing import plan_all
from bench.tenancy import OWNER, search_in_each_role
from bench.together import decide_together
from bench.workers import CONTINENT, COUNTS, EVENING, SMALL_SERVER, Backlog, work
from bench.world import World, add_past, build
from bench.year import command as year
from db import holds
from db.connection import connect
from db.roles import Role
from db.settings import Settings
from tests import chromium

Bench = Callable[[Settings, Console], Awaitable[None]]


async def sql(settings: Settings, console: Console) -> None:
    """Need to committed hold, the SQL alone."""
    world = await _world(settings, console)
    by_index, by_scan = await search_both_ways(settings, world, 200)
    table = Table(
        "candidates of one need, ms", "p50", "p99", title="Candidates among 100,000 offers", title_justify="left"
    )
    table.add_row("walking the index", *_figures(by_index))
    table.add_row("scanning (control)", *_figures(by_scan))
    ratio = by_scan.quantile(0.5) / by_index.quantile(0.5)
    table.add_row("ratio", f"{ratio:.0f} times", _judged(ratio >= 50, "at least 50 times"))
    console.print(table)
    held = Table(
        "holds a second",
        "done",
        "p50 ms",
        "p99 ms",
        "not held",
        "",
        title="Need to committed hold, SQL alone",
        title_justify="left",
    )
    for number, rate in enumerate((250, 500, 1000)):
        found = await hold_at_rate(settings, world, rate=rate, seconds=10, seed=10 * number + 10)
        judged = _judged(found.quantile(0.99) <= 5, "p99 at most 5 ms") if rate == 1000 else ""
        held.add_row(str(rate), f"{found.rate:.0f}", *_figures(found), str(found.failed), judged)
    console.print(held)


async def http(settings: Settings, console: Console) -> None:
    """Posted over HTTP to held."""
    world = await _world(settings, console)
    woken = await post_at_rate(settings, world, rate=100, seconds=15, seed=1000, worker={})
    looking = await post_at_rate(settings, world, rate=100, seconds=15, seed=2000, worker=NOBODY_RINGS)
    table = Table(
        "100 needs a second over HTTP",
        "done",
        "p50 ms",
        "p99 ms",
        "not held",
        "",
        title="Posted to held",
        title_justify="left",
    )
    judged = _judged(woken.quantile(0.99) <= 100, "p99 at most 100 ms")
    table.add_row("worker woken by the bell", f"{woken.rate:.0f}", *_figures(woken), str(woken.failed), judged)
    table.add_row(
        "worker that looks every 500 ms (control)", f"{looking.rate:.0f}", *_figures(looking), str(looking.failed), ""
    )
    ratios = [looking.quantile(share) / woken.quantile(share) for share in (0.5, 0.99)]
    table.add_row("ratio", "", *(f"{ratio:.1f} times" for ratio in ratios), "", "")
    console.print(table)


async def together(settings: Settings, console: Console) -> None:
    """Ten thousand needs in one round."""
    world = await _world(settings, console)
    found = await decide_together(settings, world, 10_000)
    table = Table(
        "10,000 needs, 100,000 offers", "one by one", "together", "", "", title="Rounds", title_justify="left"
    )
    ratio = found.searched_one_by_one / found.searched_together
    table.add_row(
        "the fifty nearest that fit, s",
        f"{found.searched_one_by_one:.1f}",
        f"{found.searched_together:.1f}",
        f"{ratio:.1f} times",
        _judged(ratio >= 4, "at least 4 times"),
    )
    table.add_row(
        "placed and committed, s",
        f"{found.placed_one_by_one:.1f}",
        f"{found.round_whole:.1f}",
        f"{found.placed_one_by_one / found.round_whole:.1f} times",
        _judged(found.placed_one_by_one >= 5 * found.round_whole, "at least 5 times"),
    )
    before, after = (sum(people.values()) for people in (found.people_one_by_one, found.people_together))
    table.add_row("people placed", str(before), str(after), f"{100 * (after / before - 1):+.1f} %", "")
    for tier, name in enumerate(("vital", "high", "normal")):
        table.add_row(
            f"of them {name}",
            str(found.people_one_by_one.get(tier, 0)),
            str(found.people_together.get(tier, 0)),
            "",
            "",
        )
    table.add_row("proved to be at most so far from the best", "", f"{100 * found.gap:.2f} %", "", "")
    console.print(table)


async def engine(_settings: Settings, console: Console) -> None:
    """The engine alone."""
    columns = (
        "10,000 needs",
        "seed",
        "s",
        "of the relaxation",
        "of the knapsack bound",
        "of the best bound",
        "against greedy",
    )
    table = Table(*columns, title="Engine")
    for each in solve_all():
        proved = each.plan.certificate
        bounds = (proved.lp_bound, proved.knapsack_bound, proved.bound)
        shares = [f"{100 * each.plan.objective / bound:.2f} %" if bound else "-" for bound in bounds]
        table.add_row(each.name, str(each.seed), f"{each.seconds:.2f}", *shares, f"{100 * each.more_people:+.1f} %")
    console.print(table)


async def online(_settings: Settings, console: Console) -> None:
    """A day of needs that arrive one after another."""
    table = Table(
        "a day of needs", "decided", "of hindsight", "moved", "mean way, km", "asked after, min", "s", title="Online"
    )
    for each in live(list(DAYS), WAYS, seed=1):
        came = each.played
        table.add_row(
            each.day,
            each.way.name,
            f"{100 * came.share:.2f} %",
            str(came.moved),
            f"{came.km:.1f}",
            f"{came.asked_after / 60:.0f}",
            f"{came.seconds:.0f}",
        )
    console.print(table)


async def many_claims(settings: Settings, console: Console) -> None:
    """100,000 claims by 64 clients."""
    database = connect(settings, "bench")
    region = await claims.build_region(database)
    waiting = await claims.add_needs(database, 100_000)
    report = await claims.run(database, region, waiting, clients=64, take=holds.take)
    audit = await claims.audit(database, report)
    await database.dispose()
    table = Table("100,000 claims by 64 clients over 10,000 slots", "", title="Claims", title_justify="left")
    table.add_row("a second, with all that happened in between", f"{report.asked / report.seconds:.0f}")
    table.add_row("acknowledged / found it full", f"{len(report.claims)} / {report.full}")
    table.add_row("in between", ", ".join(f"{count} {act}" for act, count in sorted(report.acts.items())))
    for name in ("overbooked", "miscounted", "lost", "deadlocks"):
        count = getattr(audit, name)
        table.add_row(name, f"{count} {_judged(count == 0, 'none')}")
    table.add_row("places taken at the end", str(audit.places_taken))
    console.print(table)


async def staffing(_settings: Settings, console: Console) -> None:
    """The planner of shifts alone."""
    columns = ("regions", "seed", "s", "people", "of the proved best", "of a bound", "best of 200 orders", "flaws", "")
    table = Table(*columns, title="Staffing")
    for each in plan_all():
        best = f"{100 * each.served / each.best:.1f} %" if each.best else "-"
        reached = each.served >= each.random and each.served >= 0.95 * (each.best or 0) and not each.flaws
        table.add_row(
            each.name,
            str(each.seed),
            f"{each.seconds:.2f}",
            str(each.served),
            best,
            f"{100 * each.served / max(each.bound, 1):.1f} %",
            str(each.random),
            str(each.flaws),
            _judged(reached, "≥ 95 %, ≥ 200 orders"),
        )
    console.print(table)


async def paths(_settings: Settings, console: Console) -> None:
    """A bed and a class near it, beside the exact optimum."""
    table = Table(
        "parties", "cases", "beds", "at the optimum", "class near the bed", "at the optimum", "ms a case", "",
        title="Pathways, a class near the bed", title_justify="left",
    )  # fmt: skip
    for each in pathways.compare():
        share = f"{100 * each.ratio:.1f} %"
        judged = share if each.name == "together" else _judged(each.ratio >= 0.98, f"{share}, at least 98 %")
        table.add_row(
            each.name, str(each.cases), str(each.beds), str(each.beds_best), str(each.near), str(each.near_best),
            f"{1000 * each.seconds:.1f}", judged,
        )  # fmt: skip
    console.print(table)


async def chains(settings: Settings, console: Console) -> None:
    """What the audit costs."""
    columns = ("acts of one organization", "done a second", "p50 ms", "p99 ms")
    table = Table(*columns, title="The audit", title_justify="left")
    plain, linked = await act_at_rate(settings, 100, 10)
    for name, found in (("100 a second, not written down (control)", plain), ("100 a second, written down", linked)):
        table.add_row(name, f"{found.rate:.0f}", *_figures(found))
    more = [linked.quantile(share) - plain.quantile(share) for share in (0.5, 0.99)]
    table.add_row("what it adds", "", *(f"{each:+.2f}" for each in more))
    for name, found in (await act_at_once(settings, 50)).items():
        table.add_row(f"64 clients, {name}", f"{found.rate:.0f}", *_figures(found))
    chained, took = await link_all(settings)
    table.add_row("linked by one worker", f"{chained / took:.0f}", "", "")
    console.print(table)


async def tenancy(settings: Settings, console: Console) -> None:
    """The search under row security."""
    with console.status("Building a network of 200,000 sites…"):
        connection = await plain_connection(settings)
        world = await build(connection, offers=200_000)
        await connection.close()
    found = await search_in_each_role(settings, world, 200)
    plain = found[OWNER].quantile(0.5)
    table = Table("candidates of one need, ms", "p50", "p99", "ratio", "", title="Row security", title_justify="left")
    for who, taken in found.items():
        ratio = taken.quantile(0.5) / plain
        judged = _judged(ratio <= 3, "at most 3 times") if who == Role.MATCHER else ""
        named = f"{who}, of which nothing asks this (control)" if who == Role.APP else who
        table.add_row(named, *_figures(taken), f"{ratio:.2f}", judged)
    console.print(table)


async def scale(_settings: Settings, console: Console) -> None:
    """A hundred thousand needs."""
    found = []
    console.print("One window, ten million pairs")
    for each in measure_all():
        found.append(each)
        console.print(
            f"{each.name}, {each.processes} process(es): given {each.given:.1f} s, took {each.seconds:.1f} s, "
            f"{_share(each)} of the relaxation, {each.people} people, {each.megabytes:.0f} MB, {each.broken} broken"
        )
    greedy, two, two_half, one_longer, half_the_needs = found
    judged = Table("what", "", "", title="Judged", title_justify="left")
    judged.add_row(
        "two processes, whole",
        _share(two),
        _judged(_part(two) >= 0.99 and two.seconds <= 30 and two.megabytes <= 1000, "99.0 %, 30 s, 1 GB"),
    )
    judged.add_row("people, against greedy", f"{100 * (two.people / greedy.people - 1):+.1f} %", "")
    judged.add_row(
        "two processes against one, 1.8 times the seconds",
        f"{_share(two_half)} : {_share(one_longer)}",
        _judged(_part(two_half) >= _part(one_longer), "two at least as good"),
    )
    judged.add_row(
        "twice the territories, 2.1 times the seconds",
        f"{_share(two_half)} : {_share(half_the_needs)}",
        _judged(_part(two_half) >= _part(half_the_needs), "at least as good"),
    )
    console.print(judged)


async def kept_deadlines(_settings: Settings, console: Console) -> None:
    """The engine against the clock."""
    found = []
    for each in deadlines.measure_all():
        found.append(each)
        guard = "" if each.guarded else ", no guard (control)"
        console.print(
            f"{each.name}, {each.pairs:,} pairs, {each.deadline:g} s{guard}: "
            f"{each.overrun:+.3f} s ({100 * each.overrun / each.deadline:+.1f} %), "
            f"{100 * each.share:.2f} % of its bound, {100 * (each.as_greedy - 1):+.2f} % against greedy, "
            f"{each.method}, {each.broken} broken",
            soft_wrap=True,
        )
    judged = Table("deadlines", "kept", "worst overrun", "broken", "", title="Judged", title_justify="left")
    for name, some in (
        ("with the guard", [each for each in found if each.guarded]),
        ("without (control)", [each for each in found if not each.guarded]),
    ):
        kept, broken = sum(each.kept for each in some), sum(each.broken for each in some)
        worst = max(some, key=lambda each: each.overrun)
        figure = _judged(kept == len(some) and not broken, "10 % or 0.1 s") if some[0].guarded else ""
        overrun = f"{worst.overrun:+.2f} s of {worst.deadline:g} s"
        judged.add_row(name, f"{kept} of {len(some)}", overrun, str(broken), figure)
    console.print(judged)


def _part(each: Measured) -> float:
    return each.objective / each.lp_bound if each.lp_bound else 0.0


def _share(each: Measured) -> str:
    return f"{100 * _part(each):.3f} %" if each.lp_bound else "-"


async def growth(settings: Settings, console: Console, sizes: Sequence[int] = SIZES) -> None:
    """Ten times the offers, in databases of their own beside this one."""
    where = Servers(settings.database_url, settings.redis_url or "", settings.secret_file.parent)
    table = Table("offers", "p50 ms", "p99 ms", "", title="Candidates of one need", title_justify="left")
    taken = Table(
        "offers", "table", "rows", "bytes a row", "of indexes", title="What a row takes", title_justify="left"
    )
    first: float | None = None
    for grown in await grow(lambda: own_database(where), sizes):
        half = grown.searched.quantile(0.5)
        judged = "" if first is None else f"{half / first:.2f} times " + _judged(half <= 2 * first, "at most twice")
        first = first or half
        table.add_row(f"{grown.offers:,}", *_figures(grown.searched), judged)
        for name, (rows, row, indexes) in grown.tables.items():
            taken.add_row(f"{grown.offers:,}", name, f"{rows:,}", f"{row:.0f}", f"{indexes:.0f}")
    console.print(table)
    console.print(taken)


async def workers(settings: Settings, console: Console, backlog: Backlog, counts: Sequence[int]) -> None:
    """So many workers on a backlog, in databases of their own beside this one."""
    where = Servers(settings.database_url, settings.redis_url or "", settings.secret_file.parent)
    table = Table(
        "workers", "placed", "s", "a second", "against the first", "last tenth against first",
        f"of {backlog.server_cores} cores: server" if backlog.server_cores else "of the processor: server",
        "workers of the processor" if backlog.server_cores else "workers",
        title=f"{backlog.needs:,} needs that wait at once among {backlog.offers:,} offers", title_justify="left",
    )  # fmt: skip
    cores = cpu_count() or 1
    first: float | None = None
    async for worked in work(lambda: own_database(where), backlog, counts):
        first = first or worked.rate
        whole = worked.seconds * cores
        given = worked.seconds * (backlog.server_cores or cores)
        server = "-" if worked.server_seconds is None else f"{100 * worked.server_seconds / given:.0f} %"
        table.add_row(
            str(worked.workers), f"{worked.placed:,}", f"{worked.seconds:.1f}", f"{worked.rate:.0f}",
            f"{worked.rate / first:.2f} times", f"{worked.tenths[-1] / worked.tenths[0]:.2f} times", server,
            f"{100 * worked.workers_seconds / whole:.0f} %",
        )  # fmt: skip
    console.print(table)


async def small_server(settings: Settings, console: Console) -> None:
    """Workers beside a server that has less of the processor than they."""
    try:
        await workers(settings, console, SMALL_SERVER, COUNTS)
    except CannotConfineError:
        console.print("A server can be confined by root alone, with control groups that may be written.")


async def bad_connection(settings: Settings, console: Console) -> None:
    """The console on slow 3G, in a browser that has nothing of ours."""
    program = chromium.found()
    if program is None:
        console.print("No Chromium is here: `python -m tests.chromium` fetches one.")
        return
    seen = await phone.measure(settings, program)
    table = Table(
        "first view of the board", "p50 s", "slowest s", "", title="A telephone on slow 3G", title_justify="left"
    )
    views = (("as it is", seen.viewed.as_it_is), ("without scripts (control)", seen.viewed.without_scripts))
    for name, seconds in views:
        judged = _judged(max(seconds) < phone.MOST_VIEW_SECONDS, f"under {phone.MOST_VIEW_SECONDS:.0f} s")
        table.add_row(name, f"{median(seconds):.2f}", f"{max(seconds):.2f}", judged)
    ratio = median(seen.viewed.as_it_is) / median(seen.viewed.without_scripts)
    table.add_row("ratio", f"{ratio:.2f} times", "", "")
    console.print(table)
    taps, slowest = max(each.taps for each in seen.posted), max(each.seconds for each in seen.posted)
    table = Table("posting a need", "p50 s", "slowest s", "taps", "", title_justify="left")
    reached = slowest <= phone.MOST_SECONDS and taps <= phone.MOST_TAPS
    table.add_row(
        "from the board to the code", f"{median(each.seconds for each in seen.posted):.2f}", f"{slowest:.2f}",
        str(taps), _judged(reached, f"at most {phone.MOST_SECONDS:.0f} s and {phone.MOST_TAPS} taps"),
    )  # fmt: skip
    console.print(table)


BENCHES: dict[str, Bench] = {
    "sql": sql,
    "http": http,
    "claims": many_claims,
    "together": together,
    "engine": engine,
    "staffing": staffing,
    "pathways": paths,
    "audit": chains,
    "online": online,
    "scale": scale,
    "deadlines": kept_deadlines,
    "tenancy": tenancy,
    "growth": growth,
    "million": partial(growth, sizes=MILLION),
    "phone": bad_connection,
    "workers": partial(workers, backlog=EVENING, counts=COUNTS),
    "small-server": small_server,
    "continent": partial(workers, backlog=CONTINENT, counts=(2,)),
}


async def _run(names: list[str], where: Servers, console: Console) -> None:
    address = where.database_url.replace("postgresql+asyncpg://", "postgresql://", 1)
    connection = await asyncpg.connect(address)
    version = await connection.fetchval("show server_version")
    kept = await connection.fetch("select name, setting from pg_settings where name in ('fsync', 'synchronous_commit')")
    await connection.close()
    settings = ", ".join(f"{row['name']} {row['setting']}" for row in kept)
    console.print(f"{cpu_count()} cores ({machine()}), Python {python_version()}, PostgreSQL {version}, {settings}\n")
    for name in names:
        async with own_database(where) as database:
            await BENCHES[name](database, console)
        console.print()


async def _world(settings: Settings, console: Console) -> World:
    with console.status("Building a network of 100,000 offers…"):
        connection = await plain_connection(settings)
        world = await build(connection)
        await add_past(connection, world, 20_000)
        await connection.close()
    return world


def _figures(found: Latencies) -> tuple[str, str]:
    return f"{found.quantile(0.5):.2f}", f"{found.quantile(0.99):.2f}"


def _judged(reached: bool, figure: str) -> str:  # noqa: FBT001 - it is what is judged
    return f"[green]reached[/] ({figure})" if reached else f"[red]missed[/] ({figure})"


def main() -> None:
    """Run the benchmarks named, or all; the year has a command line of its own."""
    if sys.argv[1:2] == ["year"]:
        sys.exit(0 if year.run(sys.argv[2:]) else 1)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHES)}; all when none is named")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}: there are {', '.join(BENCHES)}")
    with servers() as where:
        asyncio.run(_run(names, where, Console(width=120)))


if __name__ == "__main__":
    main()
