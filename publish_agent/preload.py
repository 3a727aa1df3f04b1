"""Imports what runs queries at once, and not with the first one. Raises ImportError if it cannot.

It is for services that are asked all the time, and for masters that fork: their children share it.
"""

from __future__ import annotations

from publish_agent.runtime.late_imports import LATE_IMPORTS

LATE_IMPORTS.load()
