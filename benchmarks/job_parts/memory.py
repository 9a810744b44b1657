"""Memory: a full load of many records under a small driver heap."""

from __future__ import annotations

import dataclasses

import full_load
from setting import Setting


def run(setting: Setting) -> str:
    """One load; it must complete with the counts of the generator's records, or the run fails."""
    small = dataclasses.replace(setting, rows=setting.memory_rows, driver_memory=setting.memory_heap)
    measured, _ = full_load.load(full_load.JOB, small, small.raw())
    facts = measured.facts
    return (
        f"{facts['read']:,} records under a driver heap of {setting.memory_heap}: done, kept {facts['kept']:,}, "
        f"peak {measured.peak_bytes / 2**20:,.0f} MiB resident (JVM, Python, everything), "
        f"{measured.wall_seconds:.0f} s, {measured.cpu_seconds:.0f} CPU s (one run)"
    )
