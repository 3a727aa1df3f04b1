"""`python -m tests.fuzz TARGET --seconds N`: a target under atheris, led by coverage.

`frames --count N` throws so many frames at agent and source job; `hostile --seconds N` has hostile
events read for so long, in a process of its own; `seeds` writes the corpus anew.
What makes a target fail is kept as `crash-…` in the working directory; once it is mended it
belongs into `tests/fuzz/corpus/TARGET`, which the test suite plays.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

_PACKAGES = ["mql", "publish_agent", "source_jobs"]


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    match options.target:
        case "frames":
            from tests.fuzz.frames import run

            run(options.count, options.seed)
        case "seeds":
            from tests.fuzz.seeds import write_corpus

            write_corpus()
        case "hostile":
            from tests.fuzz.hostile import run as read

            ended = read(options.seconds, options.seed)
            if ended.code:
                sys.exit(str(ended))
            sys.stdout.write(f"{ended.rounds:,} rounds of hostile events\n")
        case target:
            _fuzz(target, options.seconds, options.seed)


def _fuzz(target: str, seconds: int, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=_PACKAGES):
        from tests.fuzz.targets import TARGETS
    if target not in TARGETS:
        sys.exit(f"there is no {target!r} to fuzz; there are {', '.join(TARGETS)}")
    known = Path(__file__).with_name("corpus") / target
    with tempfile.TemporaryDirectory() as found:  # the first directory gets what is new
        arguments = [sys.argv[0], found, str(known), f"-max_total_time={seconds}"]
        arguments += ["-max_len=20000", "-timeout=20", "-rss_limit_mb=3000", f"-seed={seed}"]
        atheris.Setup([*arguments, "-print_final_stats=1", "-verbosity=1"], TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
