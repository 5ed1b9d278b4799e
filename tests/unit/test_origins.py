"""Where held jobs came from, and which lanes could have claimed them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farm.config.model import Lane as LaneConfig
from farm.supervisor.lanes.lane import Lane
from farm.supervisor.lanes.origins import NOWHERE, Origin, Origins
from farm.supervisor.lanes.witness import Witness


@given(st.lists(st.integers(0, 5), max_size=60), st.sets(st.integers(0, 59)))
def test_what_is_held_is_remembered_and_little_else(gaps: list[int], held: set[int]) -> None:
    """Leases of jobs that are held are known for ever; of the others never more than as many again, or the least that is kept."""
    origins = Origins(in_use=lambda: held, kept_min=8)
    for lease_id, queue in enumerate(gaps):
        origins.note(lease_id, Origin(frozenset({str(queue)})))
        assert origins.queues(lease_id) == {str(queue)}
    assert all(origins.queues(lease_id) == {str(gaps[lease_id])} for lease_id in held if lease_id < len(gaps))
    assert len(origins) <= max(8, 2 * (1 + len(held)))


def test_a_lane_serves_what_it_could_have_claimed() -> None:
    """All queues of a claim must be in its chain, and its memory must do; what is not known is not for it."""

    def serves(origin: Origin, *queues: str) -> bool:
        config = LaneConfig(name="lane", queues=queues, subworkers=1, concurrency=1, memory_bytes=512_000_000)
        return Lane(config, claim_max=1, witness=Witness(hurry=lambda: None, wake=lambda: None)).serves(origin)

    mixed = Origin(frozenset({"mail", "bulk"}))
    assert serves(mixed, "bulk", "mail")
    assert serves(mixed, "other", "*")
    assert not serves(mixed, "bulk")
    assert serves(Origin(mixed.queues, 512), "*")
    assert not serves(Origin(mixed.queues, 1000), "*")
    assert not serves(NOWHERE, "*")
