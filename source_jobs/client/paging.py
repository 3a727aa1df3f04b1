"""Long lists of a source job, page by page."""

from __future__ import annotations

from collections.abc import Callable

from source_jobs.client.actions import SourceJobError

Records = list[dict[str, object]]

_PAGES_MAX = 10_000


def all_pages(page: Callable[[str], tuple[Records, str]]) -> Records:
    """All records of a list whose pages are asked one by one, each with what the last one said.

    Raises SourceJobError for a list without an end.
    """
    records: Records = []
    after = ""
    for _ in range(_PAGES_MAX):
        more, after = page(after)
        records += more
        if not after:
            return records
    raise SourceJobError(f"a list of more than {_PAGES_MAX:,} pages")
