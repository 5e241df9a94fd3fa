import numpy as np
import pytest

from cgprot.simulate.noise import STARTING_VELOCITIES, normal_noise, philox4x32

# kat_vectors of the Random123 library, philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def _words(text):
    return np.array([int(word, 16) for word in text.split()], dtype=np.uint64)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    block = philox4x32(_words(counter), tuple(int(word) for word in _words(key)))
    np.testing.assert_array_equal(block, _words(expected))


def test_blocks_are_independent_of_their_neighbours():
    counters = np.stack([_words(counter) for counter, _, _ in KNOWN_ANSWERS], axis=1)
    together = philox4x32(counters, (1, 2))
    for column in range(3):
        np.testing.assert_array_equal(together[:, column], philox4x32(counters[:, column], (1, 2)))


def test_counter_is_bead_step_replica_and_key_is_seed():
    step, seed = 2**40 + 17, 2**35 + 5
    noise = normal_noise(seed, np.array([7]), step, 3)
    counter = np.array([2, step & 0xFFFFFFFF, step >> 32, 7], dtype=np.uint64)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
    u = (words.astype(float) + 0.5) / 2**32
    radius = np.sqrt(-2 * np.log(u[:2]))
    expected = [radius[0] * np.cos(2 * np.pi * u[2]), radius[0] * np.sin(2 * np.pi * u[2])]
    expected += [radius[1] * np.cos(2 * np.pi * u[3])]
    np.testing.assert_allclose(noise[0, 2], expected, rtol=1e-14)


@pytest.mark.parametrize("n_beads", [1, 2, 3, 5, 8, 13, 93])
def test_replica_is_bitwise_the_same_alone_or_among_64(n_beads):
    together = normal_noise(3, np.arange(64), 11, n_beads)
    for replica in (0, 1, 31, 63):
        alone = normal_noise(3, np.array([replica]), 11, n_beads)
        np.testing.assert_array_equal(alone[0], together[replica])
    np.testing.assert_array_equal(normal_noise(3, np.array([9, 4]), 11, n_beads), together[[9, 4]])


def test_bead_is_bitwise_the_same_in_a_longer_chain():
    np.testing.assert_array_equal(
        normal_noise(3, np.arange(2), 5, 7), normal_noise(3, np.arange(2), 5, 93)[:, :7]
    )


def test_every_part_of_the_address_matters():
    def first(seed, replica, step):
        return normal_noise(seed, np.array([replica]), step, 2)[0]

    addresses = [
        (0, 0, 0),
        (1, 0, 0),
        (2**32, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (0, 0, 2**32),
        (0, 0, STARTING_VELOCITIES),
    ]
    blocks = [first(*address) for address in addresses]
    blocks.append(blocks[0][::-1])
    for i, one in enumerate(blocks):
        assert all(not np.isclose(one, other).any() for other in blocks[:i])


def test_moments_and_correlations_are_those_of_independent_normals():
    noise = np.stack([normal_noise(5, np.arange(16), step, 500) for step in range(20)])
    sample = noise.reshape(-1, 3)
    error = 1 / np.sqrt(len(sample))
    assert np.abs(sample.mean(axis=0)).max() < 5 * error
    assert np.abs((sample**2).mean(axis=0) - 1).max() < 5 * np.sqrt(2) * error
    assert np.abs((sample**4).mean(axis=0) - 3).max() < 5 * np.sqrt(96) * error
    off_diagonal = (sample.T @ sample / len(sample))[np.triu_indices(3, 1)]
    assert np.abs(off_diagonal).max() < 5 * error
    for axis in range(3):
        neighbours = np.mean(
            np.take(noise, range(1, noise.shape[axis]), axis)
            * np.take(noise, range(noise.shape[axis] - 1), axis)
        )
        assert abs(neighbours) < 5 * error
