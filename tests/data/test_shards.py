"""Every picture of a batch has one place, whatever the numbers."""

import numpy as np
import pytest

from pigeonhole.data.shards import all_rows, shard


@pytest.mark.parametrize("total", [1, 2, 3, 5, 16, 250])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 7])
def test_shards_part_a_batch_and_keep_mirrored_pairs(total, parts):
    shards = [shard(total, part, parts) for part in range(parts)]
    assert sorted(np.concatenate([each.positions for each in shards])) == list(range(total))
    for each in shards:
        assert each.total == total
        np.testing.assert_array_equal(each.positions[::-1], total - 1 - each.positions)
    sizes = [len(each.positions) for each in shards]
    assert max(sizes) - min(sizes) <= 2


def test_the_only_shard_is_the_whole():
    np.testing.assert_array_equal(shard(7, 0, 1).positions, all_rows(7).positions)
