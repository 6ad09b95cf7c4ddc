"""Runs processes on hosts with names and addresses of their own: namespaces that a cable joins.

``hosts_of_their_own.py COMMAND…`` is to be started with ``unshare --user --map-root-user --net``. It
makes two hosts and runs the command on each, with ``TF_CONFIG`` set. Without a command it only makes the
hosts: an exit code of 0 says that the machine lets it.
"""

import json
import os
import subprocess
import sys

PORT = 2222
ADDRESSES = ("10.77.0.1", "10.77.0.2")


def make_host(number: int) -> subprocess.Popen[bytes]:
    """A process that keeps a host's namespaces for as long as its input is open."""
    script = f"hostname box-{number} && ip link set lo up && echo && exec cat"
    host = subprocess.Popen(
        ["unshare", "--net", "--uts", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    if host.stdout.readline() != b"\n":  # written once they are made
        sys.exit("no namespaces can be made")
    return host


def on(host: subprocess.Popen[bytes], *command: str) -> list[str]:
    return ["nsenter", "--target", str(host.pid), "--net", "--uts", "--", *command]


def join_by_cable(hosts: list[subprocess.Popen[bytes]]) -> None:
    subprocess.check_call(["ip", "link", "add", "end0", "type", "veth", "peer", "name", "end1"])
    for number, host in enumerate(hosts):
        subprocess.check_call(["ip", "link", "set", f"end{number}", "netns", str(host.pid)])
        address = f"ip addr add {ADDRESSES[number]}/24 dev end{number}"
        subprocess.check_call(on(host, "sh", "-c", f"{address} && ip link set end{number} up"))


def main(*command: str) -> int:
    hosts = [make_host(number) for number in range(len(ADDRESSES))]
    try:
        join_by_cable(hosts)
        cluster = {"worker": [f"{address}:{PORT}" for address in ADDRESSES]}
        tasks = [{"type": "worker", "index": number} for number in range(len(hosts))]
        running = [
            subprocess.Popen(
                on(host, *command),
                env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})},
            )
            for host, task in zip(hosts, tasks, strict=True)
            if command
        ]
        return max((each.wait() for each in running), default=0)
    finally:
        for host in hosts:
            host.communicate(b"")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
