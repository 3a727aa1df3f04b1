"""The live commands, as processes, against a source job and an agent in this one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from msgspec.structs import replace

from cli.live.completeness_text import describe
from cli.live.held import SCALED, Held, Kind, held, kind_of
from cli.live.requirement import read_requirement
from cli.live.status import Alarms, StatusLine
from cli.live.summary import Summary
from mql.account import GONE_AT_END, NAMES_MAX, Account
from mql.ledger import Completeness, Tally
from source_jobs.client import connect
from source_jobs.client.actions import Gap
from source_jobs.job import SourceJob
from source_jobs.query.live_query import read_question
from tests.cli.support import command, environment, rows_of
from tests.live.support import publishing, source_job, until

pytestmark = pytest.mark.timeout(60)
LIMIT_S = 30


def request(number: int) -> dict[str, object]:
    user: object = "u123" if number % 2 else 123
    return {"number": number, "status": 500 if number % 5 == 0 else 200, "user_id": user}


def play(number: int) -> dict[str, object]:
    return {"user": {"id": f"u{number % 3}"}, "n": number}


@pytest.fixture(scope="module")
def job() -> Iterator[SourceJob]:
    streams = {"requests": request, "playback": play}
    with source_job() as job, publishing(job, "checkout", streams, host="host1"):
        with connect(job.clients_address) as client:
            until(lambda: len([s for s in client.streams() if s["fields"]]) == 2)
        yield job


def run(job: SourceJob | str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
    address = job if isinstance(job, str) else job.clients_address
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        env=environment(MQL_SOURCE_JOB=address),
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def start(job: SourceJob, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*arguments),
        bufsize=0,  # or a line that is read takes others with it
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(MQL_SOURCE_JOB=job.clients_address),
    )


def end(process: subprocess.Popen[bytes], number: int) -> tuple[int, str, str]:
    process.send_signal(number)
    out, errors = process.communicate(timeout=LIMIT_S)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, out.decode(), errors.decode()


# query


def test_rows_come_as_json_lines_into_a_pipe(job: SourceJob) -> None:
    done = run(job, "query", "select number from requests where status >= 500", "--limit-rows", "3")
    numbers = [row["number"] for row in rows_of(done.stdout)]
    assert numbers == list(range(numbers[0], numbers[0] + 15, 5))


def test_a_table_says_under_it_how_complete_it_is(job: SourceJob) -> None:
    query = "select count(*) as n from requests window 0.5"
    done = run(job, "query", query, "--for", "2s", "--output", "table")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split()[-1] == "n"
    assert re.fullmatch(r"\(\d rows\)", lines[-2])
    seen = sum(int(line.split()[-1]) for line in lines if re.match(r"\d\d:\d\d:", line))
    told = f"1 of 1 agent · {seen:,} events seen · exact · "
    assert re.fullmatch(re.escape(told) + "[23] partial windows", lines[-1])


def test_the_ledger_is_among_the_lines_and_adds_up(job: SourceJob) -> None:
    query = "select count(*) as n from requests where status >= 500 window 0.5"
    done = run(job, "query", query, "--for", "2s", "--ledger")
    lines = rows_of(done.stdout)
    windows = [line for line in lines if "n" in line]
    ledgers = [line["_ledger"] for line in lines if "_ledger" in line]
    assert len(windows) == len(ledgers) >= 4
    for window, ledger in zip(windows, ledgers, strict=True):
        assert (window["_window_start"], window["_window_end"]) == (
            ledger["start_ms"],
            ledger["end_ms"],
        )
        assert window["n"] == ledger["shipped"]
        dropped = sum(ledger["dropped"].values())
        parts = ledger["sampled_out"] + ledger["filtered_out"] + ledger["shipped"] + dropped
        assert ledger["seen"] == parts
    assert {ledger["exactness"] for ledger in ledgers if not ledger["partial"]} == {"exact"}
    (total,) = [line["_ledger_total"] for line in lines if "_ledger_total" in line]
    assert total["seen"] == sum(ledger["seen"] for ledger in ledgers)


def test_a_query_without_windows_has_a_ledger_each_second(job: SourceJob) -> None:
    done = run(job, "query", "select number from requests", "--for", "2500ms", "--ledger")
    ledgers = [line["_ledger"] for line in rows_of(done.stdout) if "_ledger" in line]
    assert len(ledgers) >= 3
    rows = [line for line in rows_of(done.stdout) if "number" in line]
    assert sum(ledger["shipped"] for ledger in ledgers) == len(rows)


@pytest.mark.parametrize("output", ["csv", "arrow", "parquet"])
def test_all_formats_of_run_can_be_had(job: SourceJob, output: str) -> None:
    query = "select number, status from requests"
    done = run(job, "query", query, "--limit-rows", "20", "--output", output)
    match output:
        case "csv":
            lines = done.stdout.decode().splitlines()
            assert lines[0] == '"number","status"'
            assert len(lines) == 21
        case "arrow":
            assert pa.ipc.open_stream(done.stdout).read_all().num_rows == 20
        case _:
            assert pyarrow.parquet.read_table(io.BytesIO(done.stdout)).num_rows == 20


def test_a_plot_is_drawn(job: SourceJob) -> None:
    query = "select count(*) as n from requests window 0.2"
    done = run(job, "query", query, "--for", "1500ms", "--plot")
    assert "n" in done.stdout.decode()
    assert "1 of 1 agent" in done.stdout.decode().splitlines()[-1]


def test_ctrl_c_prints_what_there_is(job: SourceJob, tmp_path: Path) -> None:
    out = tmp_path / "rows.parquet"
    process = start(job, "query", "select number from requests", "--out", str(out))
    with connect(job.clients_address) as client:
        until(client.queries)
        time.sleep(1.5)
        code, _, errors = end(process, signal.SIGINT)
        assert code == 130
        assert "1 of 1 agent" in errors
        assert pyarrow.parquet.read_table(out).num_rows > 50
        until(lambda: not client.queries())


def test_a_reader_that_leaves_is_no_error(job: SourceJob) -> None:
    process = start(job, "query", "select number from requests")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(LIMIT_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_on_a_terminal_the_last_line_says_how_complete_it_is_so_far(job: SourceJob) -> None:
    main, side = pty.openpty()
    query = "select count(*) as n from requests window 0.3"
    process = subprocess.Popen(
        command("query", query, "--for", "1s"),
        stdin=side,
        stdout=side,
        stderr=side,
        env=environment(MQL_SOURCE_JOB=job.clients_address, TERM="xterm", COLUMNS="80"),
    )
    os.close(side)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side has closed
        while part := os.read(main, 65536):
            seen += part
    os.close(main)
    assert process.wait(LIMIT_S) == 0
    text = seen.decode().replace("\r\n", "\n")
    drawn = re.findall(
        r"\r\x1b\[K(1 of 1 agent · [\d,]+ events seen · exact[^\r\n]*)\r\x1b\[K", text
    )
    assert len(drawn) >= 3
    assert re.search(r"\(\d rows\)\n1 of 1 agent · .* events seen · exact", text)


def test_typing_errors_are_warned_of(job: SourceJob) -> None:
    done = run(job, "query", "select * from request", "--for", "200ms")
    assert b"mql: no agent publishes `request`; did you mean `requests`?" in done.stderr
    until_known = "select usr_id from requests"
    done = run(job, "query", until_known, "--for", "200ms")
    assert b"no agent has seen the field `usr_id`; did you mean `user_id`?" in done.stderr


def test_no_agents_and_no_events_are_different_words(job: SourceJob) -> None:
    query = "select count(*) as n from {} window 0.3"
    nobody = run(job, "query", query.format("nothing"), "--for", "1s", "--output", "table")
    assert nobody.stdout.decode().splitlines()[-1].startswith("no agents")
    nothing = "select number from requests where number < 0"
    quiet = run(job, "query", nothing, "--for", "2s", "--output", "table")
    assert "(no rows)\n1 of 1 agent" in quiet.stdout.decode()


def test_a_wrong_query_is_exit_code_2(job: SourceJob) -> None:
    done = run(job, "query", "select count(*) from requests", code=2)
    assert b"never ends without a `window`" in done.stderr
    done = run(job, "query", "select a from s", "--ledger", "--output", "csv", code=2)
    assert b"--ledger" in done.stderr


UNNAMED = "select number where status >= 500"


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", UNNAMED),
        ("explain", "--live", UNNAMED),
        ("serve", "--from", "{}", "--query", UNNAMED, "--as", "errors"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_query_without_a_stream_is_refused_with_those_that_there_are(
    job: SourceJob, arguments: tuple[str, ...]
) -> None:
    done = run(job, *(each.format(job.clients_address) for each in arguments), code=2)
    assert done.stderr.decode().splitlines() == [
        "line 1, column 14: a live query names its stream, and this one has no `from`",
        f"  {UNNAMED}",
        "               ^",
        "hint: add `from` and one of playback, requests",
    ]
    assert done.stdout == b""


@pytest.mark.alone
@pytest.mark.parametrize("arguments", [("query",), ("explain", "--live"), ("check", "--live")])
def test_where_no_source_job_names_its_streams_that_is_said(arguments: tuple[str, ...]) -> None:
    with source_job() as job:
        gone = job.clients_address
    done = run(gone, *arguments, UNNAMED, code=2)
    assert b"has no `from`" in done.stderr
    assert b"no source job has told which there are: see `mql streams`" in done.stderr


@pytest.mark.alone
@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "select a from s"),
        ("agents",),
        ("trace", "a.b=c"),
        ("explain", "--live", "select a from s"),
    ],
)
def test_no_source_job_is_said_within_two_seconds(arguments: tuple[str, ...]) -> None:
    with source_job() as job:
        gone = job.clients_address
    began = time.monotonic()
    done = run(gone, *arguments, code=1)
    assert time.monotonic() - began < 2.5, "with a second for a busy machine"
    assert b"no source job at tcp://" in done.stderr
    assert b"mql serve" in done.stderr


def test_a_lost_source_job_is_said_and_found_again() -> None:
    with source_job() as first:
        agents, clients = first.agents_address, first.clients_address
        process = start(first, "query", "select * from requests", "--ledger", "--output", "jsonl")
        assert process.stderr is not None
        lines = [process.stderr.readline().decode()]
        assert "no agent publishes `requests`" in lines[0]
    while "gone" not in "".join(lines):
        lines.append(process.stderr.readline().decode())
    with SourceJob(agents, clients), connect(clients) as client:
        until(client.queries)
        while "connected again" not in "".join(lines):
            lines.append(process.stderr.readline().decode())
        time.sleep(0.5)
        code, out, errors = end(process, signal.SIGINT)
    assert code == 130
    assert "missed: " in "".join(lines) + errors
    assert any("_gap" in json.loads(line) for line in out.splitlines())


def test_an_answer_whose_source_job_goes_is_judged_by_what_came() -> None:
    streams = {"requests": request}
    with source_job() as job, publishing(job, "checkout", streams, host="host1"):
        with connect(job.clients_address) as client:
            until(client.streams)
        query = "select count(*) as n from requests window 0.5"
        process = start(job, "query", query, "--for", "3s", "--ledger", "--require", "1%")
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(4)]  # two windows, and their ledgers
    out, errors = process.communicate(timeout=LIMIT_S)
    lines = rows_of(b"".join(head) + out)
    (total,) = [line["_ledger_total"] for line in lines if "_ledger_total" in line]
    (gap,) = [line["_gap"] for line in lines if "_gap" in line]
    ledgers = [line["_ledger"] for line in lines if "_ledger" in line]
    assert total["seen"] == sum(ledger["seen"] for ledger in ledgers) > 0
    assert (total["expected"], total["reported"], total["gaps"]) == (1, 1, 1)
    assert total["exactness"] == "lower bound"
    assert total["end_ms"] == gap["to_ms"]
    whole_ms, missed_ms = total["end_ms"] - total["start_ms"], gap["to_ms"] - gap["from_ms"]
    assert total["covered_ms"] == whole_ms - missed_ms > 0
    assert process.returncode == 3, "it is not known how the answer ends"
    seen = rf"1 of 1 agent · {total['seen']:,} events? seen · lower bound, [\d.]+%: "
    missed = rf"{re.escape(GONE_AT_END)}; [\d.]+ s of the answer missed"
    assert re.search(f"not 1%, as --require wants it: {seen}{missed}", errors.decode())
    assert b"no agents" not in errors


def test_an_answer_with_a_gap_is_a_lower_bound_of_all_that_came() -> None:
    summary = Summary()
    known = Completeness(0, 1000, expected=1, reported=1, tally=Tally(0, shipped=5))
    summary.add(known, closes=True)
    assert summary.describe(known) == "1 of 1 agent · 5 events seen · exact"
    summary.miss(Gap(1000, 4900, 0))
    summary.add(replace(known, start_ms=5000, end_ms=6000), closes=True)
    text = "1 of 1 agent · 10 events seen · lower bound, 35%: 3.9 s of the answer missed"
    assert summary.describe(known) == text
    total = summary.total(known)
    assert total is not None
    assert (total.exactness, total.gaps, total.share) == ("lower bound", 1, 0.35)


def test_a_share_or_exactness_can_be_required(job: SourceJob) -> None:
    query = "select count(*) from requests window 0.5"
    for requirement in ("exact", "100%", "99.5%"):
        done = run(job, "query", query, "--for", "1.6s", "--require", requirement)
        assert len(rows_of(done.stdout)) >= 3
    done = run(job, "query", query.replace("requests", "mispelled"), "--for", "1.6s",
               "--require", "1%", code=3)  # fmt: skip
    assert len(rows_of(done.stdout)) >= 3, "the answer is printed all the same"
    assert re.search(rb"not 1%, as --require wants it: \d of \d windows, .*no agents", done.stderr)
    done = run(job, "query", query, "--require", "most", code=2)
    assert b"'most' is neither `exact` nor a share such as `95%`" in done.stderr


def test_a_requirement_judges_windows_that_are_not_partial_and_the_whole() -> None:
    whole = Completeness(0, 1000, expected=2, reported=2, tally=Tally(0, shipped=99))
    for text, known, is_met in (
        ("exact", whole, True),
        ("exact", replace(whole, rate=0.5), False),
        ("exact", replace(whole, clock_ms=11), False),
        ("50%", replace(whole, reported=1, missing=("a@b",)), True),
        ("50.1%", replace(whole, reported=1, missing=("a@b",)), False),
        ("99%", replace(whole, transit=1), True),
        ("exact", replace(whole, transit=1), False),
        ("0%", Completeness(0, 1000), False),
    ):
        requirement = read_requirement(text)
        all_of_it = held(known, 0, SCALED)
        assert all_of_it == Held(known.share, known.share)
        assert requirement.is_met(known, all_of_it) is is_met, (text, known)
        requirement.judge(replace(known, partial=True, covered_ms=1), all_of_it)
        assert (requirement.judged, requirement.failed) == (0, 0)
        requirement.judge(known, all_of_it)
        assert (requirement.judged, requirement.failed) == (1, not is_met)
    for text in ("", "95", "101%", "-1%", "nan%", "exactly", "9" * 9 + "%"):
        with pytest.raises(ValueError, match="neither"):
            read_requirement(text)


def test_rows_that_were_given_up_count_for_a_requirement_and_in_the_words() -> None:
    requirement = read_requirement("75%")
    for kind in (Kind(), SCALED):
        summary = Summary(kind)
        known = Completeness(0, 1000, expected=1, reported=1, tally=Tally(0, shipped=40))
        for rows, given_up, is_met in ((40, 0, True), (30, 10, True), (29, 11, False)):
            summary.rows += rows
            second = replace(known, subscriber=given_up)
            assert requirement.is_met(second, summary.add(second, closes=False)) is is_met, rows
        assert summary.held(replace(known, subscriber=21)).required == 99 / 120
        words = "lower bound, 82.5% of the rows: 21 rows given up as this reader was slow"
        assert words in summary.describe(replace(known, subscriber=21))


def test_a_sample_counts_for_a_requirement_where_nothing_is_scaled() -> None:
    tally = Tally(0, shipped=378, budget=27_132)
    known = Completeness(0, 1000, expected=1, reported=1, tally=tally, rate=0.01)
    for query, required, words in (
        ("select n from s", 0.01, "estimate, 1.374% of the rows, from 1% of the events"),
        ("select n from s window 3", 0.01, "estimate, 1.374% of the rows, from 1% of the events"),
        ("select max(v) from s window 3", 0.01, "estimate from 1% of the events"),
        (
            "select sum(v) from s join t 1 seconds on k window 3",
            0.01,
            "estimate from 1% of the events",
        ),
        ("select count(*), max(v) from s window 3", 1.0, "estimate from 1% of the events"),
        ("select avg(v) from s window 3", 1.0, "estimate from 1% of the events"),
        ("select n from s sample 2%", 0.5, "estimate, 1.374% of the rows, from 1% of the events"),
    ):
        part = held(known, 378, kind_of(read_question(query)))
        assert part.required == required, query
        assert describe(known, part).endswith(f" · {words}"), query
        assert read_requirement("95%").is_met(known, part) is (required == 1.0), query


def test_events_seen_are_those_of_the_ledger() -> None:
    known = Completeness(0, 1000, expected=1, reported=1, tally=Tally(0, shipped=5), transit=3)
    assert describe(known).startswith("1 of 1 agent · 5 events seen · lower bound, 62.5%: 3 lost")
    lost = replace(known, tally=Tally(0))
    assert describe(lost).startswith("1 of 1 agent · 0 events seen · lower bound, 0%: 3 lost")


def test_an_account_has_room_for_so_many_names() -> None:
    account = Account()
    for number in range(0, 2 * NAMES_MAX, 500):
        names = tuple(f"a{each}@h" for each in range(number, number + 500))
        account.add(Completeness(0, 1000, expected=500, missing=names))
    total = account.total()
    assert total is not None
    assert (len(total.missing), total.expected, total.reported) == (NAMES_MAX, 500, 0)


def test_an_account_begins_where_the_query_did() -> None:
    account = Account()
    first = Completeness(0, 10_000, expected=1, reported=1, partial=True, covered_ms=2_000)
    account.add(replace(first, tally=Tally(0, shipped=4)))
    account.miss(10_000, 12_000)
    total = account.total()
    assert total is not None
    assert (total.start_ms, total.end_ms, total.covered_ms) == (8_000, 12_000, 2_000)
    assert (total.share, total.tally.seen, total.gaps) == (0.5, 4, 1)


def test_an_answer_whose_source_job_was_never_heard_of_again_says_so() -> None:
    summary = Summary(ended=GONE_AT_END)
    assert summary.describe(Completeness(0, 0, gaps=1)) == GONE_AT_END


# What there is


def test_streams_show_fields_types_and_examples(job: SourceJob) -> None:
    table = run(job, "streams", "--output", "table").stdout.decode()
    assert re.search(r"playback +[\d.,]+/s +1 +checkout +e\['user'\]\['id'\] +string", table)
    lines = rows_of(run(job, "streams").stdout)
    assert [line["stream"] for line in lines] == ["playback", "requests"]


def test_agents_and_queries_are_shown_and_cancelled(job: SourceJob) -> None:
    table = run(job, "agents", "--output", "table").stdout.decode()
    assert re.search(r"checkout +host1 ", table)
    with connect(job.clients_address, user="ann") as client:
        answer = client.subscribe("select number from requests")
        table = run(job, "queries", "--output", "table").stdout.decode()
        assert re.search(rf"{answer.query_id} +ann ", table)
        assert rows_of(run(job, "queries").stdout)[0]["text"] == "select number from requests"
        run(job, "cancel", str(answer.query_id))
        list(answer)
        assert str(answer.ended).startswith("cancelled by ")
        done = run(job, "cancel", "999999", code=1)
        assert b"no query 999999" in done.stderr


def test_explain_live_says_what_agents_do_with_it(job: SourceJob) -> None:
    query = "select number from requests where status >= 500"
    text = run(job, "explain", "--live", query).stdout.decode()
    assert "in the services:" in text
    row = re.search(r"checkout@host1 +runs +[\w ,]+? +(\d+) +(\d+) +(\d+) +([\d.]+)%", text)
    assert row is not None
    assert 15 < float(row[4]) < 25


def test_explain_live_of_a_query_that_runs_already_never_ships_more_than_passed(
    job: SourceJob,
) -> None:
    """What passed before somebody looked is shipped while they look: at the window's end."""
    query = "select count(*) as n from requests where status >= 500 window 2"
    with connect(job.clients_address) as client:
        answer = client.subscribe(query)
        assert answer.get(5.0) is not None
        text = run(job, "explain", "--live", query).stdout.decode()
    assert re.search(r"since the query began, at \d\d:\d\d:\d\d UTC:", text)
    row = re.search(r"checkout@host1 +runs +[\w ,]+? +(\d+) +(\d+) +(\d+) ", text)
    assert row is not None
    tested, passed, shipped = map(int, row.groups())
    assert 0 < shipped <= passed < tested


# trace


@pytest.mark.alone  # older events of other streams are waited for half a second
def test_a_trace_is_one_timeline_of_all_streams(job: SourceJob) -> None:
    words = ("requests.user_id=u123", "playback.e['user']['id']=u1")
    lines = rows_of(run(job, "trace", *words, "--for", "1500ms").stdout)
    assert {line["stream"] for line in lines} == {"requests", "playback"}
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert {(line["service"], line["host"]) for line in lines} == {("checkout", "host1")}
    assert {line["event"].get("user_id", "u123") for line in lines} == {"u123"}
    assert all("_agent" not in line["event"] for line in lines)


def test_a_number_matches_the_number_and_the_string(job: SourceJob) -> None:
    lines = rows_of(run(job, "trace", "requests.user_id=123", "--for", "500ms").stdout)
    assert {line["event"]["user_id"] for line in lines} == {123}
    table = run(job, "trace", "requests.user_id=123", "--for", "500ms", "--output", "table")
    assert "requests: 1 of 1 agent" in table.stdout.decode()


def test_ctrl_c_ends_a_trace(job: SourceJob) -> None:
    process = start(job, "trace", "requests.user_id=u123")
    assert process.stdout is not None
    first = process.stdout.readline()
    code, out, errors = end(process, signal.SIGINT)
    assert json.loads(first)["stream"] == "requests"
    assert all(json.loads(line) for line in out.splitlines())
    assert code == 130
    assert "requests: " in errors


@pytest.mark.parametrize("word", ["requests", "requests.user_id", "=1", "a.b.c", "e['a'=1"])
def test_what_is_no_question_is_said(job: SourceJob, word: str) -> None:
    assert b"is neither STREAM.PROPERTY=VALUE nor" in run(job, "trace", word, code=2).stderr


@pytest.mark.parametrize("word", ["user_id=u123", "e['user_id']=u123", 'e["user_id"]=u123'])
def test_a_property_without_a_stream_is_followed_where_it_is(job: SourceJob, word: str) -> None:
    done = run(job, "trace", word, "e['user']['id']=u1", "--for", "1500ms")
    assert {line["stream"] for line in rows_of(done.stdout)} == {"requests", "playback"}
    assert all(stream in done.stderr for stream in (b"mql: requests: ", b"mql: playback: "))


def test_a_property_that_no_stream_has_is_named(job: SourceJob) -> None:
    assert b"no stream has `user_ip`" in (done := run(job, "trace", "user_ip=1", code=2)).stderr
    assert b"did you mean `user_id`?" in done.stderr


# serve, keygen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_it_listens_and_ends_cleanly(number: int) -> None:
    process = subprocess.Popen(
        command("serve", "--agents", "tcp://127.0.0.1:*", "--clients", "tcp://127.0.0.1:*"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    said = [process.stdout.readline().decode().split() for _ in range(2)]
    assert [side for side, _ in said] == ["agents:", "clients:"]
    with connect(said[1][1]) as client:
        assert client.agents() == []
    code, out, log = end(process, number)
    assert (code, out) == (0, "")
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8} INFO client .+", line) for line in log.splitlines()
    )
    assert "is here" in log


def test_serve_says_so_if_its_address_is_taken(job: SourceJob) -> None:
    done = subprocess.run(
        command("serve", "--agents", job.agents_address, "--clients", "tcp://127.0.0.1:*"),
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )
    reason = f"mql: cannot listen at {job.agents_address}: Address already in use\n"
    assert (done.returncode, done.stderr.decode()) == (1, reason)


def test_serve_makes_a_stream_of_another_ones_answer(job: SourceJob) -> None:
    process = subprocess.Popen(
        command(
            "serve", "--agents", "tcp://127.0.0.1:*", "--clients", "tcp://127.0.0.1:*",
            "--from", job.clients_address, "--as", "errors",
            "--query", "select * from requests where status >= 500",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    _, line = process.stdout.readline(), process.stdout.readline().decode()
    with (
        connect(line.split()[1]) as client,
        client.subscribe("select status from errors") as answer,
    ):
        assert next(window for window in answer if window.num_rows).rows()[0] == {"status": 500}
    assert end(process, signal.SIGINT)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "tcp://b:1", "--query", "select * from s"),
        ("--from", "tcp://b:1", "--from", "tcp://b:2", "--query", "select * from s", "--as", "s"),
        (
            *("--from", "tcp://b:1", "--from", "tcp://b:2"),
            *("--query", "select * from s") * 2,
            *("--as", "s") * 2,
            *("--from-server-key", "b.key"),
        ),
    ],
)
def test_serve_wants_all_that_belongs_to_a_source(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        command("serve", *arguments),
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"go together" in done.stderr or b"goes with each --from" in done.stderr


def test_serve_refuses_to_be_open_to_all(tmp_path: Path) -> None:
    done = subprocess.run(
        command("serve", "--agents", "tcp://0.0.0.0:*", "--clients", "tcp://127.0.0.1:*"),
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert b"keygen" in done.stderr
    assert b"--insecure" in done.stderr


def test_keygen_makes_two_files(tmp_path: Path) -> None:
    arguments = ("keygen", "checkout", "--dir", str(tmp_path / "keys"))
    done = subprocess.run(
        command(*arguments), capture_output=True, env=environment(), timeout=LIMIT_S, check=True
    )
    files = [Path(line) for line in done.stdout.decode().splitlines()]
    assert [file.name for file in files] == ["checkout.key", "checkout.key_secret"]
    assert files[1].stat().st_mode & 0o077 == 0
    again = subprocess.run(
        command(*arguments), capture_output=True, env=environment(), timeout=LIMIT_S, check=False
    )
    assert again.returncode == 2
    assert b"never overwritten" in again.stderr


def test_keygen_leaves_no_half_of_a_key_on_a_full_disk(tmp_path: Path) -> None:
    keygen = " ".join(command("keygen", "checkout", "--dir", str(tmp_path)))
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; {keygen}"],
        capture_output=True,
        env=environment(),
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert b"checkout.key_secret: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_refusal_by_key_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    alarms = Alarms(StatusLine(shown=False))
    refused = "refused by key: this one is not among the keys that the source job lets in"
    for away in ("", *[refused] * 5, ""):
        alarms.connection(connected=not away, refused=away)
    alarms.connection(connected=False)
    assert capsys.readouterr().err.splitlines() == [
        f"mql: {refused}; waiting for it",
        "mql: connected again",
        "mql: the source job is gone; waiting for it",
    ]
