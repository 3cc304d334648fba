"""What goes wrong between the processes of a cluster, and what client, log and metrics say of it. docs/faults.md is
this table; test_cluster_faults.py makes each of it happen. `python faults.py` writes the page."""

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/faults.md"

# Who answers what to a search of all four shards, one of which is on the node in question.
WHOLE = "the whole answer"
PARTIAL = "**one shard is missing**"
NOTHING = "an error"
NOBODY = "no answer"


@dataclass(frozen=True)
class Log:
    """A line that process `of` writes, with all of these patterns in it."""

    of: str
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Metric:
    """Series of process `of` whose names match: their sum rises by at least one, or becomes `value`."""

    of: str
    pattern: str
    value: float | None = None


@dataclass(frozen=True)
class Fault:
    name: str
    what: str
    outcome: str
    # Of the error: AWS's code, and patterns its message has. {shard} and {node} stand for the missing one's names.
    code: str = ""
    message: tuple[str, ...] = ()
    logs: tuple[Log, ...] = ()
    metrics: tuple[Metric, ...] = ()
    # What else the client sees, and what brings it back: for the page alone.
    client: str = ""
    afterwards: str = "by itself, at most 5 s later"


# Node-2 is the one in question, coordinator-1 the one that is asked.
INTERNAL = "InternalServerError"
MISSING = (r"3 of 4 shards answered", r"shard {shard} on node {node}")
SILENT = Log("coordinator-1", ("a shard gave no answer", "node=node-2"))
UNREACHABLE = Metric("coordinator-1", r'facet_shards_missing_total\{reason="unreachable"\}')
LATE = Metric("coordinator-1", r'facet_shards_missing_total\{reason="deadline"\}')
ANY_REASON = Metric("coordinator-1", r"facet_shards_missing_total\{.*\}")
INCOMPLETE = Metric("coordinator-1", "facet_complete", 0)
COMPLETE = Metric("coordinator-1", "facet_complete", 1)
TURNED_AWAY = Metric("coordinator-1", r"facet_transport_refused_handshakes_total\{.*\}")
TURNED_AWAY_BY_NODE = Metric("node-2", TURNED_AWAY.pattern)
NOT_LET_IN = Log("node-2", ("a peer was not let in",))


def missing(name: str, what: str, *metrics: Metric, logs: tuple[Log, ...] = (), **more: str) -> Fault:
    """Node-2 is away or tells nothing that can be used."""
    return Fault(
        name, what, PARTIAL, INTERNAL, MISSING, (SILENT, *logs), (*metrics, INCOMPLETE), **more
    )


FAULTS = (
    missing(
        "node killed", "`kill -9` of a shard-node", UNREACHABLE,
        afterwards="when the node runs again: it recovers its logs, and opens each shard when it is asked for it",
    ),
    missing(
        "node stopped", "a shard-node stands still (`SIGSTOP`, a disk that hangs)", ANY_REASON,
        client="at the deadline; after 8 s of silence at once, since the connection is then given up",
    ),
    missing(
        "half-open", "a connection that stands and carries nothing", ANY_REASON,
        client="at the deadline; after 8 s of silence at once",
    ),
    missing("cut", "connections that end in the middle of an answer", UNREACHABLE),
    missing("altered", "bytes altered on the way (TLS notices)", UNREACHABLE),
    missing("truncated frames", "a node that sends half a frame and hangs up", UNREACHABLE),
    missing("random frames", "a node that sends random bytes where a frame is due", UNREACHABLE),
    missing("4 GiB frame from a node", "a node that announces a frame of 4 GiB", UNREACHABLE),
    missing("garbage bodies", "a node whose frames are whole and their bodies random", UNREACHABLE),
    missing("node of another authority", "a node with a certificate of another authority", UNREACHABLE, TURNED_AWAY),
    missing("node with another role", "a coordinator's certificate at a node's address", UNREACHABLE, TURNED_AWAY),
    missing("another node", "another node's certificate at a node's address", UNREACHABLE, TURNED_AWAY),
    Fault(
        "caller of another authority", "a caller with a certificate of another authority", WHOLE,
        logs=(NOT_LET_IN,), metrics=(TURNED_AWAY_BY_NODE, COMPLETE),
        client="the caller: the connection ends in TLS's handshake", afterwards="nothing to mend",
    ),
    Fault(
        "caller with another role", "a caller with an etcd member's certificate", WHOLE,
        logs=(NOT_LET_IN,), metrics=(TURNED_AWAY_BY_NODE, COMPLETE),
        client="the caller: no answer", afterwards="nothing to mend",
    ),
    Fault(
        "operator asks too much", "a caller with an operator's certificate, which asks a node for a search", WHOLE,
        logs=(Log("node-2", ("a request failed", "operator")),),
        metrics=(COMPLETE,), client="the caller: an error; statistics and reports of the node are all it may ask",
        afterwards="nothing to mend",
    ),
    Fault(
        "node asks too much", "a caller with a shard-node's certificate, which asks a node for a search", WHOLE,
        logs=(Log("node-2", ("a request failed", "shard-node/node-3")),),
        metrics=(COMPLETE,), client="the caller: an error; nodes may only ask for what replicas tell each other",
        afterwards="nothing to mend",
    ),
    Fault(
        "4 GiB frame to a node", "a caller that announces a frame of 4 GiB", WHOLE,
        logs=(Log("node-2", ("a peer's connection ended", "4294967295")),), metrics=(COMPLETE,),
        client="the caller: the connection ends; the node's memory does not grow",
        afterwards="nothing to mend",
    ),
    Fault(
        "random bytes to a node", "a caller that sends random bytes and half frames", WHOLE, metrics=(COMPLETE,),
        client="the caller: the connection ends", afterwards="nothing to mend",
    ),
    Fault(
        "ledger node killed", "`kill -9` of the node that keeps the ledger", NOTHING, INTERNAL, (r"ledger",),
        logs=(Log("coordinator-1", ("the ledger does not say who is suspended",)),),
        metrics=(Metric("coordinator-1", "facet_ready", 0), INCOMPLETE),
        client="nothing is answered, neither searches nor enrolment: nobody can tell who is suspended",
        afterwards="when the node runs again",
    ),
    Fault(
        "one etcd member killed", "`kill -9` of one of three etcd members", WHOLE, metrics=(COMPLETE,),
        client="nothing; collections can be made and deleted", afterwards="nothing to mend; start the member again",
    ),
    Fault(
        "etcd killed", "`kill -9` of every etcd member", WHOLE,
        logs=(Log("coordinator-1", ("control plane",)),),
        metrics=(Metric("coordinator-1", "facet_control_plane_stale", 1),),
        client="searches and enrolment go on; making and deleting collections answers `InternalServerError`, which "
        "names the control plane; a key made or revoked meanwhile is not noticed",
        afterwards="when a majority runs again",
    ),
    Fault(
        "coordinator killed", "`kill -9` of a coordinator", NOBODY,
        client="the connection is refused or breaks: use another coordinator; an enrolment that was cut off may have "
        "happened, the same request again does no harm",
        afterwards="when it runs again; it keeps nothing that could be lost",
    ),
)


def page() -> str:
    lines = [
        "# When something breaks",
        "",
        "What a client sees when it searches a collection of four shards **of one copy each** on four nodes, what the log",
        "says, what the metrics say, and what brings it back. `Tests/ProcessTests/test_cluster_faults.py` makes every row",
        "happen; this page is written by `Tests/ProcessTests/faults.py`. With three copies, as `make cluster` has them,",
        "another copy answers within seconds, and the client waits for it: `Tests/ProcessTests/test_copies.py`.",
        "",
        "An answer never takes longer than the deadline (`limits.deadlineSeconds`), and a shard that said nothing",
        "never looks like \"no match\". Of one shard that gives no answer the client sees",
        f"`{INTERNAL}`: \"... {' ... '.join(MISSING).format(shard='ID', node='node-2')}: ...\",",
        "which says why; with the signed header `x-facet-partial: allow` it gets what the others hold, with",
        "`x-facet-coverage: shards=3/4`; and where they hold no candidate, the error all the same. The coordinator's",
        f"log has `{' ... '.join(SILENT.patterns)}`, `facet_shards_missing_total` rises, `facet_complete`",
        "is 0 and `/readyz` 503 for as long. That is what **one shard is missing** stands for:",
        "",
        "| fault | a search | beyond that, the client sees | log | metrics | comes back |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [row(fault) for fault in FAULTS]) + "\n"


def row(fault: Fault) -> str:
    shared = (SILENT, INCOMPLETE, ANY_REASON) if fault.outcome == PARTIAL else ()
    seen = [fault.client] if fault.client else []
    if fault.outcome == NOTHING:
        seen.insert(0, f"`{fault.code}`: \"... {' ... '.join(fault.message)} ...\"")
    logs = (f"{log.of}: `{' ... '.join(log.patterns)}`" for log in fault.logs if log not in shared)
    metrics = (said(metric) for metric in fault.metrics if metric not in shared)
    cells = (fault.what, fault.outcome, "; ".join(seen), "; ".join(logs), "; ".join(metrics), fault.afterwards)
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"


def said(metric: Metric) -> str:
    name = metric.pattern.replace("\\", "").replace(".*", "...")
    return f"{metric.of}: `{name}` " + ("rises" if metric.value is None else f"is {metric.value:g}")


if __name__ == "__main__":
    PAGE.write_text(page())
