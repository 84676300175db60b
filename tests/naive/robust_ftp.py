"""RobustFtP: the twins of the combiners around those of the parts."""

from __future__ import annotations

from evictlab.policies.shadow import part_seed

from . import blind_oracle, blum_burch, follow_leader, lru, marker

CASES = ["robust_ftp@noisy:p=0.3", "robust_ftp:deterministic=true@noisy:p=0.3", "robust_ftp@popu"]


def Naive(capacity, next_use, seed, n_objects, deterministic, **_):
    predicted = blind_oracle.Naive(capacity, next_use)
    if deterministic:
        return follow_leader.Naive(capacity, predicted, lru.Naive(capacity), n_objects, 0.01)
    seeded = marker.Naive(capacity, part_seed(seed, 1))
    return blum_burch.Naive(capacity, seeded, predicted, n_objects, part_seed(seed, 0), 0.5)
