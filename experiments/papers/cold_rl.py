"""Cold-RL: the paper's numbers beside its authors' baselines, every online policy, a model trained here, and the ceilings.

Gupta, Bhayani, "Cold-RL: learning cache eviction with offline reinforcement learning for NGINX", arXiv:2508.12485, 2025. Its
full text was not at hand: the numbers are those of the abstract, the workload is that of the authors' public generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..page import Block, Reproduction
from .cold_rl_cells import BOUND, BY_SIZE, INFORMED, LEARNED, REFUSING, REQUESTS, Rows
from .cold_rl_model import spans
from .cold_rl_numbers import half_interval, short
from .cold_rl_picture import draw
from .cold_rl_verdicts import AIMS, ORACLE, PAPER, Table, Verdict, failed, verdicts

if TYPE_CHECKING:
    from .cold_rl_model import Model

__all__ = ["reproduction"]

CLOCK_SAYS = {
    "scrambled": "the authors' clock: request i is stamped with i gaps of its own length",
    "cumulative": "gaps add up",
}

CEILINGS = ("lru", LEARNED, INFORMED, REFUSING, BOUND, ORACLE, BY_SIZE)


def reproduction(
    rows: Rows, model: Model, *, n_requests: int = REQUESTS, more: Sequence[tuple[Rows, list[Block], list[str]]] = ()
) -> Reproduction:
    """Judge what was measured, and lay it out.

    Parameters
    ----------
    rows : list of dict
        Of `evictlab.experiments.papers.cold_rl_cells.measure`.
    model : Model
        Who was judged.
    n_requests : int
        Of each trace; with another number than the authors', their numbers are not compared with.
    more : sequence of (rows, blocks, remarks)
        Ablations, logs: what comes after.
    """
    canonical = n_requests == REQUESTS
    tables = [Table(rows, clock) for clock in dict.fromkeys(row["clock"] for row in rows)]
    judged = {table.clock: verdicts(table, canonical=canonical) for table in tables}
    blocks = [_verdict_block(table.clock, judged[table.clock]) for table in tables]
    blocks += [_ceiling_block(table) for table in tables]
    blocks += [_block(table, canonical) for table in tables]
    return Reproduction(
        name="cold_rl",
        title="Cold-RL: learned eviction on the workload of its authors",
        remarks=[*_remarks(tables, judged, model, canonical), *(line for part in more for line in part[2])],
        rows=[
            *rows,
            *(one.row() for some in judged.values() for one in some),
            *(row for part in more for row in part[0]),
        ],
        blocks=[*blocks, *(block for part in more for block in part[1])],
        draw=lambda: draw(tables, canonical=canonical),
    )


def _remarks(tables: Sequence[Table], judged: dict[str, list[Verdict]], model: Model, canonical: bool) -> list[str]:
    table = tables[0]
    lines = [
        'Paper: Gupta, Bhayani, arXiv:2508.12485; its numbers are from the abstract (at 400 "about .918" for all). Its 25, 100 '
        'and 400 MB are MiB: the authors\' simulator computes with 2^20 bytes. Its "best classical" policy is SizeBased, the '
        "weakest of their five at 25 MiB; their own LFU is far above it.",
        f"Workload: trap, seeds {spans(table.seeds)}; on each, all meet the very same requests, and lifetimes count. ± is half "
        f"the 95 % confidence interval of the mean over seeds (Student's t). Learned: {model.told}; judged on others. "
        "The authors' five follow the rules of their simulator, which throws out all that has expired at every miss.",
    ]
    if canonical and 25 in table.sizes:
        lines.append(_older_remark(table))
    if not canonical:
        lines.append("The traces are not as long as the authors': no number of the paper is compared with, and no aim.")
    for one in tables:
        if 25 in one.sizes:
            lines.append(_ceiling_remark(one))
    misses = [verdict for some in judged.values() for verdict in failed(some)]
    total = sum(map(len, judged.values()))
    told = "; ".join(
        f"{one.clock}, {one.capacity_mib} MiB: {one.claim}: {one.found} against {one.wanted}" for one in misses
    )
    lines.append(f"{total - len(misses)} of {total} verdicts pass." + (f" Not passed: {told}." if misses else ""))
    return lines


def _older_remark(table: Table) -> str:
    """Say which policies without learning have what the paper prints."""
    theirs = PAPER[25][1]
    as_good = [policy for policy in table.online() if table.mean(policy, 25) >= theirs]
    as_good.sort(key=lambda policy: -table.mean(policy, 25))
    told = ", ".join(f"{policy} {short(table.mean(policy, 25))}" for policy in as_good) or "none"
    return (
        f"Without learning, and on these traces, at or above the paper's Cold-RL at 25 MiB ({short(theirs)}): {told}."
    )


def _ceiling_remark(table: Table) -> str:
    """Say what the aim asks for, in the light of what can be reached at all."""
    aim = table.mean("lru", 25) + AIMS["share"] * (table.mean(ORACLE, 25) - table.mean("lru", 25))
    shares = {who: table.gap_closed(who, 25) for who in (LEARNED, INFORMED, REFUSING, BOUND)}
    if shares[LEARNED] is None:
        return f"{table.clock} clock, 25 MiB: there is no gap between LRU and the oracle."
    told = {who: f"{100 * (share or 0):.1f} %" for who, share in shares.items()}
    best = max(shares[INFORMED] or 0, shares[REFUSING] or 0)
    reach = "above" if best < AIMS["share"] - 0.01 else "just about" if best < AIMS["share"] + 0.03 else "below"
    aims = f"{100 * AIMS['share']:.0f} %"
    ours = 100 * (shares[LEARNED] or 0) / (shares[REFUSING] or 1)
    return (
        f"Ceiling, {table.clock} clock, 25 MiB: {aims} of the gap from LRU to the oracle among 64 is a hit ratio "
        f"of {short(aim)}. A policy that knows how likely each object is at every request, as no real one does, closes "
        f"{told[INFORMED]} of the gap, or {told[REFUSING]} if it may refuse newcomers; and none that cannot see the future "
        f"closes more than {told[BOUND]}. The aim is {reach} what the informed one reaches. Learned, which may "
        f"refuse newcomers: {told[LEARNED]}, or {ours:.0f} % of what the informed one "
        "then closes."
    )


def _verdict_block(clock: str, some: Sequence[Verdict]) -> Block:
    lines = [
        [f"{one.capacity_mib}: {one.claim}", "pass" if one.passed else "**FAIL**", one.found, one.wanted]
        for one in some
    ]
    return Block(f"verdicts, {clock} clock", ["MiB: learned", "", "found", "wanted, or least lead"], lines)


def _ceiling_block(table: Table) -> Block:
    """What of the gap from LRU to the oracle among 64 everybody closes."""
    header = ["who"]
    for mib in table.sizes:
        header += [f"{mib}MiB", "gap"]
    lines = []
    for who in CEILINGS:
        line = [who]
        for mib in table.sizes:
            share = table.gap_closed(who, mib)
            line += [short(table.mean(who, mib)), "-" if share is None else f"{100 * share:.0f} %"]
        lines.append(line)
    return Block(f"ceilings, {table.clock} clock: hit ratio and share of the gap LRU to {ORACLE}", header, lines)


_HEADINGS = {
    "online": "ONLINE",
    "authors": "AUTHORS' SIMULATOR",
    "ceiling": "KNOW ALL CHANCES",
    "offline": "OFFLINE: SEE FUTURE",
}


def _block(table: Table, canonical: bool) -> Block:
    """All, by kind, the best at the smallest size first."""
    header = ["hit ratio at MiB"]
    for mib in table.sizes:
        header += [str(mib), "±", "bytes"]
    empty = [""] * (len(header) - 1)
    lines: list[list[str]] = []
    if canonical:
        for place, title in enumerate(("paper: best classical", "paper: Cold-RL")):
            lines.append(
                [
                    title,
                    *(
                        cell
                        for mib in table.sizes
                        for cell in (short(PAPER[mib][place]) if mib in PAPER else "-", "", "")
                    ),
                ]
            )
    lines.append(_line(table, LEARNED))
    for kind, heading in _HEADINGS.items():
        lines.append([heading, *empty])
        mine = [policy for policy, is_of in table.kinds.items() if is_of == kind]
        lines += [_line(table, policy) for policy in sorted(mine, key=lambda who: -table.mean(who, table.sizes[0]))]
    return Block(f"{table.clock} clock ({CLOCK_SAYS[table.clock]}); bytes: byte hit ratio", header, lines)


def _line(table: Table, policy: str) -> list[str]:
    line = [policy]
    for mib in table.sizes:
        line += [
            short(table.mean(policy, mib)),
            short(half_interval(table.of(policy, mib)), "±"),
            short(table.mean(policy, mib, "byte_hit_ratio")),
        ]
    return line
