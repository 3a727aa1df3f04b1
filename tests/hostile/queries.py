"""Queries that are meant to hurt, and what is said to each: None where it is a query like others.

The second text is what `mql check` says, the third what a source job and an agent do, who take
shorter ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from mql.language.parser import MAX_WORDS

MEGABYTE = 1_000_000
NESTED = "nested too deeply; at most 200 levels are taken"
LARGE = "the patterns of this query are too large"
WORDS = f"more words and signs than a query may have: {MAX_WORDS:,}"
BAD_FRAME = "its header is longer than a megabyte"
WIDE = "columns; live at most 500 are taken"
STEPS = "a path has at most 200 steps"
LONG = "longer than 65,536 bytes"


@dataclass(frozen=True)
class Hurtful:
    """A query, and parts of the messages that it gets."""

    text: str
    check: str | None
    live: str | None


def filled(head: str, item: str, size: int, between: str, tail: str = "") -> str:
    """A query of about a size: `item` again and again, each with its number."""
    room = size - len(head) - len(tail)
    count = room // (len(item) + 4 + len(between))
    return head + between.join(item.replace("#", str(n)) for n in range(count)) + tail


def where(condition: str) -> str:
    return f"select * from requests where {condition}"


HURTFUL: dict[str, Hurtful] = {
    "a megabyte of one text": Hurtful(where(f"a == '{'x' * MEGABYTE}'"), None, LONG),
    "more than a megabyte": Hurtful(where("a" * 1_100_000), "1,048,576 are taken", BAD_FRAME),
    "a megabyte of blanks": Hurtful(where(" " * MEGABYTE + "a"), None, LONG),
    "a megabyte of a list": Hurtful(filled("select ", "a#", MEGABYTE, ","), WORDS, LONG),
    "a megabyte of conditions": Hurtful(where(" or ".join(["a==1"] * 125_000)), WORDS, LONG),
    "10,000 parentheses": Hurtful(where("(" * 10_000 + "a" + ")" * 10_000), NESTED, NESTED),
    "10,000 times not": Hurtful(where("not " * 10_000 + "a"), NESTED, NESTED),
    "10,000 exclamation marks": Hurtful(where("!" * 10_000 + "a"), NESTED, NESTED),
    "10,000 sums": Hurtful("select " + " + ".join(["a"] * 5_000), NESTED, NESTED),
    "wide and deep": Hurtful(where(" or ".join(["(" * 150 + "a" + ")" * 150] * 200)), WORDS, WORDS),
    "an open quote": Hurtful(where("a == '" + "\\'" * 30_000), "never closed", "expected"),
    "64 KB of columns": Hurtful(filled("select ", "a#", 60_000, ",", " from requests"), None, WIDE),
    "64 KB of one column": Hurtful("select " + "a," * 9_900 + "a from requests", None, None),
    "64 KB of equal names": Hurtful(
        filled("select ", "a# as b", 60_000, ",", " from requests"), None, WIDE
    ),
    "64 KB of equalities": Hurtful(filled(where(""), "a==#", 45_000, " or "), None, None),
    "64 KB of having": Hurtful(
        filled("select sum(a) from requests window 1 having ", "sum(a#)>1", 63_000, " or "),
        WORDS,
        WORDS,
    ),
    "many having": Hurtful(
        filled("select sum(a) from requests window 1 having ", "sum(a#)>1", 40_000, " or "),
        None,
        WIDE,
    ),
    "many keys to order by": Hurtful(
        filled("select sum(a) from requests window 1 order by ", "sum(a#)", 40_000, ","),
        None,
        WIDE,
    ),
    "many columns": Hurtful(filled("select ", "a#", 3_000, ",", " from requests"), None, None),
    "many aggregates": Hurtful(
        filled("select ", "sum(a) filter (where b == #)", 30_000, ",") + " from requests window 1",
        None,
        WIDE,
    ),
    "many prefixes": Hurtful(
        filled("select ", "e[^'#']", 30_000, ",", " from requests"),
        "more prefixes than a select list may have: 100",
        "more prefixes than a select list may have: 100",
    ),
    "a long path": Hurtful("select e['a']" + "['b']" * 6_000 + " from requests", STEPS, STEPS),
    "nested repetitions": Hurtful(where("a ==~ /(((a{1,1000}){1,1000}){1,1000})/"), LARGE, LARGE),
    "many repetitions": Hurtful(where("a ==~ /" + "[a-z]{1,1000}" * 50 + "/"), LARGE, LARGE),
    "repeated alternatives": Hurtful(
        where("a ==~ /" + "((a|b|ab){1,300}){1,3}" * 20 + "/"), LARGE, LARGE
    ),
    "repeated classes of Unicode": Hurtful(where(r"a ==~ /\pL{1000}/"), LARGE, LARGE),
    "a huge regex": Hurtful(where("a ==~ /" + "(ab|cd)" * 8_000 + "/"), LARGE, LARGE),
    "many regexes": Hurtful(filled(where(""), "a ==~ /x#/", 60_000, " or "), LARGE, LARGE),
    "many regexes in filters": Hurtful(
        filled("select ", "sum(a) filter (where b ==~ /.{300}#/)", 20_000, ",")
        + " from requests window 1",
        LARGE,
        LARGE,
    ),
    "a like of wild cards": Hurtful(where(f"a like '{'%a' * 20_000}'"), LARGE, LARGE),
    "a window of many parts": Hurtful(
        "select count(*) from requests window 1000000 0.001", "at most 100,000", "at most 100,000"
    ),
    "a window of a millisecond": Hurtful(
        "select count(*) from requests window 0.001", None, "has at least 100 ms"
    ),
    "a shift of a millisecond": Hurtful(
        "select count(*) from requests window 1 0.099", None, "has at least 100 ms"
    ),
    "numbers without end": Hurtful(
        where(f"a == {'9' * 60_000}"), "is out of range", "is out of range"
    ),
    "a huge limit": Hurtful(
        f"select * from requests limit {'9' * 400}", "is out of range", "is out of range"
    ),
}
