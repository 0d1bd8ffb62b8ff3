"""What Prometheus reads, put together from what each part of a process measures."""

from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from bot.metrics import REPLIES, TURNS, Sending, WorkFile, write_work_metrics


def test_whoever_sends_shows_the_outbox_with_its_own() -> None:
    registry = CollectorRegistry()
    registry.register(Sending())
    REPLIES.labels(result="posted").inc()
    shown = generate_latest(registry).decode()
    assert 'ona_replies_total{result="posted"}' in shown
    assert "ona_outbox_age_seconds" in shown


def test_serve_shows_the_file_of_the_work_beside_it_once_there_is_one(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    file = tmp_path / "work.prom"
    registry.register(WorkFile(file))
    assert b"ona_turns" not in generate_latest(registry)
    TURNS.labels(outcome="succeeded").inc()
    write_work_metrics(file)
    assert b'ona_turns_total{outcome="succeeded"}' in generate_latest(registry)
    assert list(tmp_path.iterdir()) == [file]
