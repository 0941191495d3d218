"""The tables of clients and scenarios, from lines "client, tab, scenario, tab, result" on standard input.

They have the scenarios that at least three clients have, one a row, and count the rest. Clients that share no row with
others, as frameworks, have a table of their own. `--markdown` writes them for a page.
"""

import sys

WORDS = {"pass": "ok", "skip": "skipped", "FAIL": "failed"}


def main():
    results = {}
    for line in sys.stdin:
        client, scenario, result = line.rstrip("\n").split("\t")
        results.setdefault(scenario, {})[client] = WORDS[result]
    rows = [scenario for scenario, clients in results.items() if len(clients) > 2]
    for rows in related(rows, results):
        columns = list(dict.fromkeys(client for row in rows for client in results[row]))
        table = [["", *columns]]
        table += [[row, *(results[row].get(client, "–") for client in columns)] for row in rows]
        table += [["others", *(others(results, rows, client) for client in columns)]]
        print("\n".join(markdown(table) if "--markdown" in sys.argv else plain(table)), end="\n\n")


def related(rows, results):
    """The rows in groups: two that have a client in common are in one."""
    groups = []
    for row in rows:
        near = [group for group in groups if any(results[row].keys() & results[other].keys() for other in group)]
        groups = [group for group in groups if group not in near]
        groups.append([other for group in near for other in group] + [row])
    return groups


def others(results, rows, client):
    found = [clients[client] for row, clients in results.items() if row not in rows and client in clients]
    return ", ".join(f"{found.count(word)} {word}" for word in WORDS.values() if word in found) or "–"


def plain(table):
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def markdown(table):
    head, *rows = table
    for row in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(row) + " |"


main()
