"""``pipeprof attach``: a verdict on a training that is already running, observed from outside."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeprof.attach.attached_verdict import AttachedFindings
    from pipeprof.attach.peers import Peer


def attach(
    pid: Annotated[int, typer.Argument(metavar="PID", help="The process of the training.")],
    duration: Annotated[
        int, typer.Option(min=1, max=60, metavar="S", help="Seconds to watch it.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="Only this process, not those that train with it here.")
    ] = False,
) -> None:
    """Look at a training that is already running, unprepared, without halting it.

    Of a training of several processes on this machine, all of them are looked at.
    """
    from pipeprof.attach.attached_report import (
        attached_json,
        attached_ranks_json,
        render_attached,
        render_attached_ranks,
    )
    from pipeprof.attach.attached_verdict import find_attached_verdict
    from pipeprof.attach.observer import observe
    from pipeprof.attach.peers import MOST_PEERS, find_peers
    from pipeprof.cli.screen import Screen

    screen = asdict(Screen.of(sys.stdout))
    peers = () if alone else find_peers(pid)
    if len(peers) < 2:
        found = find_attached_verdict(observe(pid, duration))
        typer.echo(attached_json(found) if as_json else render_attached(found, **screen))
        return
    chosen = _with_own(peers, pid, MOST_PEERS)
    if len(chosen) < len(peers):
        typer.echo(f"pipeprof: {len(chosen)} of {len(peers)} ranks here are looked at.", err=True)
    ranks = _observe_all(chosen, duration)
    typer.echo(attached_ranks_json(ranks) if as_json else render_attached_ranks(ranks, **screen))


def _with_own(peers: "Sequence[Peer]", pid: int, most: int) -> "list[Peer]":
    """The first ranks, with the one that was asked for."""
    own = [peer for peer in peers if peer.pid == pid]
    others = [peer for peer in peers if peer.pid != pid]
    return sorted([*own, *others[: most - 1]], key=lambda peer: peer.rank.number)


def _observe_all(peers: "Sequence[Peer]", duration: int) -> "list[tuple[int, AttachedFindings]]":
    """All at once: what holds one of them up holds up the others in the same seconds."""
    from pipeprof.attach.attached_verdict import find_attached_verdict
    from pipeprof.attach.observer import observe

    with ThreadPoolExecutor(len(peers)) as pool:
        observations = list(pool.map(lambda peer: observe(peer.pid, duration), peers))
    return [
        (peer.rank.number, find_attached_verdict(each))
        for peer, each in zip(peers, observations, strict=True)
    ]
