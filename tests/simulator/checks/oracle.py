"""What has to be true of an answer, judged from what was published and nothing of the cores.

An answer that calls itself exact has the rows that the interpreter gives for all events that were
published in its time by all agents that were expected, whether anybody could reach them or not. One
that does not may lack rows, and invents none. All counts add up.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations, pairwise

import msgspec

from mql.ledger import Completeness, Exactness, Tally
from publish_agent.drain.subscription import Running
from tests.oracle.cases import Row, compare
from tests.simulator.checks.answers import Answer, Members, Span
from tests.simulator.records import AgentRecord, job_skew_us

_MOST_OPTIONAL = 3
_ENOUGH_FRAMES = 100
"""With room for fewer on a connection, messages get lost without a fault."""


def check_answer(answer: Answer) -> None:
    """Check all of an answer. Raises Failure."""
    _check_order(answer)
    for span in answer.spans:
        _check_span(answer, span)
    _check_rows(answer)
    _check_total(answer)
    _check_recovered(answer)


def _check_order(answer: Answer) -> None:
    """Windows come one after the other, and so do seconds."""
    window = answer.asked.window
    for before, after in pairwise(answer.spans):
        follows = before.end_ms if window is None else before.start_ms + window.shift_ms
        told_all = not after.missed and not answer.subscription.group
        if told_all and after.start_ms != follows:
            raise answer.fail("windows", f"after {before.start_ms} comes {after.start_ms}")
    for span in answer.spans if window else ():
        assert window
        if span.end_ms - span.start_ms != window.span_ms or span.start_ms % window.shift_ms:
            raise answer.fail("windows", f"a window is {span}")


# A span


def _check_span(answer: Answer, span: Span) -> None:
    known, asked = span.known, answer.asked
    if known.expected != known.reported + len(known.missing) + len(known.refused):
        raise answer.fail("roll call", f"{known}")
    if asked.question.rate < 1 and known.exactness is Exactness.EXACT:
        raise answer.fail("estimate", f"{known}")
    if span.is_exact and not known.expected:
        raise answer.fail("exact", f"nobody was expected: {known}")
    _check_gone(answer, span)
    if asked.chance:
        return
    members = answer.members(span)
    if not members.certain:
        return
    if span.is_exact:
        _check_nothing_dropped(answer, span, members)
    if asked.window is None:
        if span.is_exact and not asked.is_limited:
            _check_exact_second(answer, span, members)
    elif span.is_exact and not known.partial:
        _check_exact(answer, span, members)
    elif span.is_exact:
        _check_bound(answer, span, members)
        _check_covered(answer, span, members)
    else:
        _check_bound(answer, span, members)


def _check_gone(answer: Answer, span: Span) -> None:
    """Who ran the query and has vanished for more than a minute is named, until it returns."""
    if answer.subscription.group:
        return
    named = Counter(each.name for each in span.known.gone)
    gone = Counter(
        record.label
        for record in answer.world.known.agents.values()
        if answer.has_run(record) and answer.is_gone(record, span)
    )
    if lacking := gone - named:
        raise answer.fail("gone", f"{span} does not name {list(lacking)}; {span.known}")


def _check_nothing_dropped(answer: Answer, span: Span, members: Members) -> None:
    """What was dropped is in no span that is exact."""
    for placed in chain.from_iterable(members.events.values()):
        event, record, link = placed.event, placed.record, placed.link
        is_optional = (record.name, event.stream) in members.optional
        if not event.is_dropped or link is None or is_optional:
            continue
        if span.start_ms <= event.claimed_ms[link] < _covered_end_ms(answer, span):
            raise answer.fail("exact", f"an event of {span} was dropped; {span.known}")


def _covered_end_ms(answer: Answer, span: Span) -> int:
    """Up to when a span has events: one that ends after the answer is cut off."""
    covered_ms = span.known.covered_ms
    if covered_ms is None or not _may_be_cut(answer, span):
        return span.end_ms
    return span.start_ms + covered_ms


def _may_be_cut(answer: Answer, span: Span) -> bool:
    """Whether a span may end after the answer: some overlap, or wait for late events."""
    return span.end_ms + answer.asked.question.lateness_ms > answer.spans[-1].start_ms


def _check_exact(answer: Answer, span: Span, members: Members) -> None:
    """A window has the rows of the interpreter, of all agents or without some optional ones."""
    ties = _has_ties(members)
    if len(members.optional) > _MOST_OPTIONAL or (ties and answer.asked.depends_on_order):
        return
    optional = sorted(members.optional)
    for size in range(len(optional) + 1):
        for without in combinations(optional, size):
            expected = answer.expected(members, span, without)
            if compare([expected], [span.rows], ordered=not ties):
                return
    wanted = answer.expected(members, span, ())
    raise answer.fail("exact", f"{span} is {span.rows}, not {wanted}; {span.known}")


def _check_covered(answer: Answer, span: Span, members: Members) -> None:
    """A window in which the query began has all from then on, and perhaps some from before."""
    covered_ms = span.known.covered_ms
    if covered_ms is None or _may_be_cut(answer, span):
        return  # cut off with the last one; no part of the answer says where
    covered = answer.covered(members, span.end_ms - covered_ms)
    wanted = answer.expected(covered, span, ())
    if answer.asked.lists and answer.asked.tree.limit is None:
        if lacking := Counter(map(_key, wanted)) - Counter(map(_key, span.rows)):
            raise answer.fail("exact", f"{span} lacks {list(lacking)[:3]}; {span.known}")
    elif answer.asked.counts:
        counts = {_group(row): _count(row) for row in span.rows}
        for row in wanted:
            if counts.get(_group(row), 0) < _count(row):
                raise answer.fail("exact", f"{span} is {span.rows}, not {wanted}; {span.known}")


def _check_exact_second(answer: Answer, span: Span, members: Members) -> None:
    """All rows of a second have come, unless some were given up on the way."""
    if answer.subscription.group or any(each.missed for each in answer.spans):
        return
    if span.known.partial:
        if span is answer.spans[-1]:
            return
        covered_ms = span.known.covered_ms
        assert covered_ms is not None
        members = answer.covered(members, span.end_ms - covered_ms)
    wanted = answer.expected(members, span, members.optional)
    lacking = {row["n"] for row in wanted} - {row["n"] for row in answer.rows}
    if lacking and not sum(each.known.subscriber for each in answer.spans):
        raise answer.fail("exact", f"{span} lacks the events {sorted(lacking)[:5]}; {span.known}")


def _check_bound(answer: Answer, span: Span, members: Members) -> None:
    """Rows may be missing, none may be invented; in a sample each stands for some at most."""
    possible = answer.expected(members, span, ())
    if answer.asked.lists and answer.asked.tree.limit is None:
        if invented := Counter(map(_key, span.rows)) - Counter(map(_key, possible)):
            raise answer.fail("invented", f"{span} has {list(invented)[:3]}")
    elif answer.asked.counts:
        weight = span.known.tally.weight
        most = {_group(row): _count(row) * weight for row in possible}
        for row in span.rows:
            if _count(row) > most.get(_group(row), 0):
                raise answer.fail("invented", f"{span} has {row}, of {possible}")


def _has_ties(members: Members) -> bool:
    """Whether events of two agents or streams have the same time, so that any may be first."""
    by_time: dict[int, set[tuple[str, str]]] = {}
    for stream, events in members.events.items():
        for placed in events:
            by_time.setdefault(placed.time_ms, set()).add((placed.record.name, stream))
    return any(len(sources) > 1 for sources in by_time.values())


# All of it


def _check_rows(answer: Answer) -> None:
    """Each row is an event that was published, and no event is in two if windows do not overlap."""
    if not answer.asked.lists:
        return
    published = {placed.event.event["n"] for row in answer.placed.values() for placed in row}
    seen = Counter(row["n"] for row in answer.rows)
    if invented := seen.keys() - published:
        raise answer.fail("invented", f"events {sorted(invented)[:5]}")
    twice = [n for n, times in seen.items() if times > 1]
    if twice and answer.asked.is_apart:
        raise answer.fail("twice", f"events {twice[:5]}")


def _check_total(answer: Answer) -> None:
    """What agents told is what the ledger says, and the spans add up to it."""
    ended = answer.episode.ended
    if ended is None:
        return
    if ended.failed:
        raise answer.fail("failed", ended.reason)
    if not answer.episode.is_first or not ended.reason.startswith("cancelled"):
        return
    query = answer.episode.started.query
    told = sum(sum(runs) for (q, _, _), runs in answer.job.totals.items() if q == query)
    seen, transit = ended.total.tally.seen, ended.total.transit
    if seen + transit != told:
        raise answer.fail("ledger", f"{seen} seen and {transit} lost of {told} told")
    for record in answer.world.known.agents.values():
        if not record.has_ended and record.label not in ended.total.missing:
            _check_agent(answer, record)
    # Where an agent was behind when it was cancelled, a span had not closed yet; what one that the
    # last span lacks has told since is in no span.
    is_behind = ended.total.missing or any(span.known.missing for span in answer.spans[-1:])
    adds_up = (answer.asked.window is None or answer.asked.is_tumbling) and not is_behind
    if adds_up and not answer.subscription.group and not any(s.missed for s in answer.spans):
        _check_sums(answer, ended.total)


def _check_agent(answer: Answer, record: AgentRecord) -> None:
    """What an agent that is still there, and not missing, has told is all that it was given."""
    query, job = answer.episode.started.query, answer.episode.job
    latest = {
        (running.link, *running.key): running
        for running, asked_by in record.jobs_of.items()
        if asked_by == job and running.message.query == query
    }
    for (number, *key), running in latest.items():
        if record.process.state.links[number].is_spare:
            continue  # another link to the same source job has taken over
        counted = record.counted[running]
        runs = answer.job.totals.get((key[0], key[1], record.name), [])
        if record.sequence.get(running) and counted not in runs[-1:]:
            told = sum(runs[-1:])
            if record.clock_was_set and told + _yet_to_come(answer, record, running) >= counted:
                continue
            who = record.process.name
            raise answer.fail("ledger", f"{who} was given {counted} events, and told of {runs}")


def _yet_to_come(answer: Answer, record: AgentRecord, running: Running) -> int:
    """Events that count in a time after the end of an answer, by a clock that was set."""
    end_ms, link = answer.episode.told_ms, running.link
    published = sum(
        running in event.queries
        and max(event.drained_ms.get(link) or end_ms, event.claimed_ms.get(link) or end_ms)
        >= end_ms
        for event in record.events
    )
    lost = sum(ms >= end_ms for stream, ms in record.lost if stream == running.message.stream)
    return published + lost


def _check_sums(answer: Answer, total: Completeness) -> None:
    spans, asked = answer.spans, answer.asked
    if any(record.clock_was_set for record in answer.world.known.agents.values()):
        return  # some may count in a time that has not come yet
    tally = sum((span.known.tally for span in spans), Tally(0))
    added = tally.seen, sum(s.known.transit for s in spans), sum(s.known.late for s in spans)
    if added != (total.tally.seen, total.transit, total.late):
        raise answer.fail("ledger", f"spans add up to {added}, not {total}")
    given_up = sum(span.known.subscriber for span in spans)
    if given_up != total.subscriber:
        raise answer.fail("ledger", f"{given_up} rows given up, not {total.subscriber}")
    if asked.chance:
        return
    if asked.counts and asked.window is not None and not given_up:
        used = sum(map(_count, answer.rows))
    elif asked.lists and asked.window is None:
        used = len(answer.rows) + given_up
    else:
        return
    # What a client gave up of the answer before, and had no time to tell, it tells with this one.
    of_before = given_up if answer.episode is not answer.subscription.episodes[0] else 0
    least = used - of_before
    if not least + total.late <= total.tally.shipped <= used + total.late:
        raise answer.fail("ledger", f"{used} used and {total.late} late, of {total.tally}")


def _check_recovered(answer: Answer) -> None:
    """Once faults have stopped, an answer tells of everybody."""
    world, ended = answer.world, answer.subscription.ended
    if answer.episode is not answer.subscription.episodes[-1] or answer.subscription.group:
        return
    roomy = world.conditions.frames >= _ENOUGH_FRAMES
    if not roomy or not answer.spans or not ended or not ended.reason.startswith("cancelled"):
        return
    records = [world.known.agents[process.agent] for process in world.agents]
    streams = set(answer.asked.streams)
    there = sum(
        answer.job_number in record.jobs and not streams.isdisjoint(record.process.streams)
        for record in records
    )
    live_ms = (world.live_us + job_skew_us(answer.job_number)) // 1000
    last, patience_ms = answer.spans[-1], answer.asked.question.slot_ms + world.pace_us // 500
    if last.end_ms <= answer.episode.started.start_ms:
        return  # where windows leave gaps, the first one may be over when its query begins
    known = last.known if last.end_ms > live_ms or ended.total is None else ended.total
    reported = known.reported
    if last.start_ms < live_ms + patience_ms:  # until then a part may tell of what got lost
        reported += len(known.missing)
    if reported < there:
        raise answer.fail("recovery", f"there are {there} agents: {known}")


def _key(row: Row) -> bytes:
    return msgspec.json.encode(row, order="sorted")


def _group(row: Row) -> bytes:
    return _key({name: value for name, value in row.items() if name != "COUNT(*)"})


def _count(row: Row) -> int:
    return int(str(row["COUNT(*)"]))
