"""What `make bench-dashboard` calls fast enough. That it measures, its own run shows."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.dashboard import Measured, targets

GOOD = Measured(1.9, {"overview": 2.1, "round": 3.0}, 3.4)


def passed(found: Measured) -> dict[str, bool]:
    return {row.name: row.passed for row in targets(found)}


def test_limits_are_met_or_missed() -> None:
    assert passed(GOOD) == {"dashboard_first_paint": True, "dashboard_page": True}
    assert not passed(replace(GOOD, paint_s=2.01))["dashboard_first_paint"]
    slow = replace(GOOD, page_s={"overview": 2.1, "round": 3.01})
    assert passed(slow) == {"dashboard_first_paint": True, "dashboard_page": False}
    assert targets(slow)[1].measured == "3.01 s (slowest: round)"
