"""Ask for known vulnerabilities of what is locked.

    python -m tests.project.audit

Ends with 1 if there are any. Where the database cannot be reached it says so, and ends with 0: that
nothing was asked is no finding.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements-dev.lock"
TIMEOUT_S = 120


def audit(lock: Path) -> tuple[list[str], int, str]:
    """The findings, how many packages were looked up, and why not if none was."""
    command = (sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--format", "json")
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "10")
    try:
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], 0, f"no answer within {TIMEOUT_S} s"
    if not done.stdout.strip():
        return [], 0, (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    packages = json.loads(done.stdout)["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in known
        for vulnerability in package["vulns"]
    ]
    why = packages[0]["skip_reason"] if packages and not known else ""
    return found, len(known), why


def main() -> int:
    """Tell what was found."""
    found, asked, why = audit(LOCK)
    for line in found:
        sys.stdout.write(f"vulnerable: {line}\n")
    if not asked:
        sys.stdout.write(f"not audited, no database of vulnerabilities can be reached: {why}\n")
    else:
        sys.stdout.write(f"{asked} packages audited, {len(found)} known vulnerabilities\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
