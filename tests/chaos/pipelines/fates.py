"""Fates and children of items: pure functions of a role and an item's id.

The targets act on them, and the judge computes from them what must have become of each item. An
item is a text: its id, its maker's token, and padding. A role is a mapping that the spec hands to a
target; jobs that share a queue share their role, so it does not matter which of them gets an item.
"""

from hashlib import blake2b

OK, SKIP, DEAD = "ok", "skip", "dead"


def number(*parts):
    """A number that these parts determine, evenly spread."""
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=6).digest())


def source_id(role, k):
    """The id of a source's k-th item."""
    if role["command"]:
        return f"{role['name']}.{k}"
    return f"{number(role['name'], k):012x}"


def fate(role, ident):
    """What becomes of an item in the end."""
    at = number(role["name"], "fate", ident) % 100
    if at < role["skip"]:
        return SKIP
    return DEAD if at < role["skip"] + role["dead"] else OK


def is_flaky(role, ident):
    """Whether the first call with an item raises an error that is to be tried again."""
    return number(role["name"], "flaky", ident) % 100 < role["flaky"]


def fails(role, ident):
    """Whether the job fails at this item."""
    at = role["fails_at"]
    return bool(at) and number(role["name"], "fails", ident) % at == 0


def children(role, port, ident):
    """The ids of what an item that is done makes on a port, in order."""
    if role["command"]:
        return [f"{ident}.{role['name']}"]
    least, most = role["ports"][port]
    n = least + number(role["name"], port, ident) % (most - least + 1)
    return [f"{number(role['name'], port, ident, k):012x}" for k in range(n)]


def text(ident, token, pad):
    """The item itself; every third is as large as its maker's items may be."""
    n = pad if number("pad", ident) % 3 == 0 else min(pad, 20)
    return f"{ident} {token} {'x' * n}"


def parsed(item):
    """The id and the token of an item."""
    ident, token = item.split(" ", 2)[:2]
    return ident, token
