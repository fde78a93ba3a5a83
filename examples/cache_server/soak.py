# SPDX-License-Identifier: Apache-2.0
"""soak.py PROGRAM [MINUTES]: mixed load and faults on a cache server, stack by stack, for so many minutes together (60).

Each stack has its turn in three conditions: under its budget; on a machine with less memory than the budget; with one request
for memory in 50 refused. Clients check every value, break off in the middle, and some read slowly. After each turn everything
is flushed, the figures have to be those of the start, and the server has to end with nothing live.
"""

import argparse
import time

from examples.cache_server import driver, load

CONDITIONS = {
    "budget": ["--memory_mb=16"],
    "machine": ["--memory_mb=64", "--machine_mb=24"],
    "refusals": ["--memory_mb=16", "--refuse_one_in=50"],
}
COMPARED = ("malloc", "std_pool")  # no stacks: a machine's limit is not theirs


def figures(server):
    report = server.report()
    return {
        (resource, figure): report[resource]["layers"][-1][figure]
        for resource in ("items", "buffers")
        for figure in ("live", "live_blocks")
    }


def check(server, before):
    """What has to be true when all clients have gone."""
    with server.client() as client:
        if client.ask(b"flush_all") != b"OK":
            raise RuntimeError("flush_all")
    patience = time.monotonic() + driver.PATIENCE
    while (now := figures(server)) != before:
        if time.monotonic() > patience:
            raise RuntimeError("not as before: %s, was %s" % (now, before))
    for resource, report in server.report().items():
        rows, totals = report["layers"], report["totals"]
        if sum(r["handed_out"] + r["kept"] + r["overhead"] for r in rows) != totals["mapped"]:
            raise RuntimeError("the sums of %s do not agree: %s" % (resource, report))
    return report


def turn(program, stack, condition, seconds, seed):
    """One stack in one condition. Returns a row of the table."""
    with driver.Server(program, "--stack=" + stack, "--threads=2", *CONDITIONS[condition]) as server:
        before = figures(server)
        clients = [load.Load(server.port, seed + i, rude=(0, 0, 1, 5)[i % 4]) for i in range(8)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        slow = server.client()
        while time.monotonic() < end and not any(c.faults for c in clients):
            slow.send(b"get key1 key2 key3\r\n")
            slow.answers()
            server.metrics()
            time.sleep(min(0.2, max(0, end - time.monotonic())))
        stats = slow.stats()
        slow.close()
        for client in clients:
            client.stop()
        for client in clients:
            client.join(driver.PATIENCE)
        faults = [fault for client in clients for fault in client.faults]
        if faults or any(client.is_alive() for client in clients):
            raise RuntimeError("%s, %s, seed %d: %s" % (stack, condition, seed, faults or "a client hangs"))
        check(server, before)
        return (
            stack,
            condition,
            sum(c.requests for c in clients),
            sum(c.broken_off for c in clients),
            sum(c.refused for c in clients),
            int(stats["evictions"]),
            server.resident() / (1 << 20),
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("minutes", type=float, nargs="?", default=60.0, help="of all turns together")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000, help="of the load")
    options = parser.parse_args()
    program, seed = options.program, options.seed
    driver.allow_descriptors(4096)
    turns = [
        (stack, condition)
        for stack in driver.names_of_stacks(program)
        for condition in CONDITIONS
        if not (stack in COMPARED and condition == "machine")
    ]
    seconds = max(1.0, options.minutes * 60 / len(turns))
    print("%d turns of %.1f seconds, seed %d" % (len(turns), seconds, seed))
    print("%-18s %-9s %9s %10s %8s %10s %9s" % ("stack", "condition", "requests", "broken off", "refused", "evictions", "RSS MiB"))
    for number, (stack, condition) in enumerate(turns):
        print("%-18s %-9s %9d %10d %8d %10d %9.1f" % turn(program, stack, condition, seconds, seed + 100 * number), flush=True)
    print("all well: every value whole, figures as before, nothing live at the end")


if __name__ == "__main__":
    main()
