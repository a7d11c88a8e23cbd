"""The benchmark of the drain: what it computes and prints; what it measures is measured by running it."""

import os
import time

import pytest

from benchmarks.drain import Drained, cpu_s, report, rss_mb


def test_the_processor_and_the_memory_of_a_process_are_read() -> None:
    before_s, spent_s = cpu_s(os.getpid()), time.process_time()
    while time.process_time() - spent_s < 0.1:
        pass
    assert cpu_s(os.getpid()) - before_s == pytest.approx(0.1, abs=0.05)
    assert 10 < rss_mb(os.getpid()) <= rss_mb(os.getpid(), "VmHWM")


def test_the_report_says_what_is_met() -> None:
    found = {
        "bare": Drained(1000, {"broker": 20}),
        "link to receipts": Drained(800, {"link": 100, "broker": 20, "ingest": 400}, rss_mb=45),
    }
    text = report(found, idle_mb=34)
    _, bare, ours, memory, ratio = (line.split() for line in text.splitlines())
    assert bare == ["bare", "1000", "0.80", "-", "20", "-"]
    assert ours == ["link", "to", "receipts", "800", "1.00", "100", "20", "400"]
    assert memory[:2] == ["NOT", "MET"]
    assert ratio[:2] == ["met", "0.80"]
