"""What a process says of its adapters when it starts."""

from __future__ import annotations

from structlog.testing import capture_logs

from tasks import wiring


def test_missing_keys_are_one_warning_a_process_that_names_every_setting(settings):
    wiring.warn_of_disabled.cache_clear()
    with capture_logs() as said:
        for _ in range(3):
            wiring.warn_of_disabled()
    (warning,) = said
    assert warning["log_level"] == "warning"
    assert "KLING_API_KEY" in warning["off"]["kling"]
    assert "local" not in warning["off"]
