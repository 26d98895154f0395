"""Actors of one service are told from those of the next by its Redis, and never by its password."""

from flair_ray.engine.naming import service_name


def test_another_redis_is_another_service() -> None:
    here = service_name("redis://:secret@localhost:6379/0")
    assert here == service_name("redis://:changed@localhost:6379/0")
    others = ("redis://localhost:6379/1", "redis://localhost:6380/0", "redis://elsewhere:6379/0", "unix:///r.sock")
    assert len({here, *map(service_name, others)}) == 5
    assert "secret" not in here
