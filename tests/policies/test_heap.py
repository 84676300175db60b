"""The heap whose members rise untold, against a sorted list."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evictlab.policies.heap import SCORE, enter, enter_in_order, give_back, leave, lowest, make_heap, rescore

MEMBERS = 8
steps = st.lists(
    st.tuples(st.sampled_from(["enter", "in order", "rise", "leave"]), st.integers(0, 11), st.integers(0, 6))
)


@given(steps)
@settings(max_examples=200)
def test_the_lowest_leaves_and_the_longest_unseen_among_equals(steps):
    heap, model, latest = make_heap(12, MEMBERS), {}, 0
    for now, (what, obj, amount) in enumerate(steps):
        if what == "rise" and obj in model:
            model[obj] = (model[obj][0] + amount, now)
            rescore(heap, heap.slot_of[obj], model[obj][0], now)
        elif what == "leave" and model:
            first = min(model, key=model.__getitem__)
            assert heap.obj_of[lowest(heap)] == first
            slot = leave(heap)
            assert heap.rank[slot, SCORE] == model.pop(first)[0]
            assert give_back(heap, slot) == first
        elif what in ("enter", "in order") and obj not in model and len(model) < MEMBERS:
            if what == "in order":
                latest += amount
                enter_in_order(heap, obj, latest, now)
            else:
                enter(heap, obj, amount, now)
            model[obj] = (latest if what == "in order" else amount, now)
        assert {obj for obj in range(12) if heap.slot_of[obj] >= 0} == set(model)
