"""The compressed potential on a processor: energies and forces of many replicas of one system."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import torch

from cgprot.beads import Forces
from cgprot.engine.inputs import check_shape, coincident, not_finite, product_factors, type_numbers
from cgprot.engine.neighbours import PairList, is_good, list_pairs
from cgprot.engine.network import lay_out, new_edges, new_scratch, new_workspace, padded
from cgprot.engine.stages import BLOCK, run_stages
from cgprot.engine.tables import CompressedPotential
from cgprot.engine.tickets import new_tickets
from cgprot.model.lanes import LANES

SKIN = 0.6  # Å
ARRANGE_FROM = 2000  # beads, whose rows no longer fit into the cache


class CpuEngine:
    """Energies and forces of replicas of one system.

    Whole replicas are dealt out to threads; those left over are shared block by block. A replica's result is
    the same to the last bit in either way, and a function of its positions alone. The rows of many beads lie
    in memory as the beads do in space, but sums run in the order of their numbers.

    Parameters
    ----------
    compressed : the potential
    bead_type : (n_beads,) int
    n_replicas : how many replicas a call brings
    dtype : floating-point type of features and tables; sums of energies and forces are float64
    box : (3, 3) [Å], rows are the box vectors, the same for all replicas; None in free space
    skin : [Å], pairs are listed this far beyond the cutoff
    n_threads : torch's number if None
    charge : (n_beads,) [e], formal, for a model with these or their sum as input; ignored by one without

    Raises
    ------
    InputError
        if a bead type is unknown to the model, or a charge that it needs is missing or out of range
    """

    def __init__(
        self,
        compressed: CompressedPotential,
        bead_type: np.ndarray,
        n_replicas: int,
        dtype: type = np.float32,
        box: np.ndarray | None = None,
        skin: float = SKIN,
        n_threads: int | None = None,
        charge: np.ndarray | None = None,
    ) -> None:
        config = compressed.config
        self.config, self.dtype, self.n_replicas = config, dtype, n_replicas
        self.box, self.skin = box, skin
        self.bead_type = type_numbers(config, bead_type)
        self.arranged = len(bead_type) >= ARRANGE_FROM
        self.network = lay_out(compressed.weights, config.cutoff, dtype)
        self.lanes = (0,) * (padded(config.channels) // LANES)
        self.n_threads = torch.get_num_threads() if n_threads is None else n_threads
        self.pair_lists: list[PairList | None] = [None] * n_replicas
        n_beads, self.factor = len(bead_type), product_factors(config, len(bead_type), charge)
        self.scratch = [new_scratch(config.channels, BLOCK, dtype) for _ in range(self.n_threads)]
        n_workspaces = max(1, min(self.n_threads, n_replicas))
        self.workspaces = [
            new_workspace(self.factor, config.layers, config.channels, dtype) for _ in range(n_workspaces)
        ]
        self.edges = [new_edges(n_beads, 0, dtype) for _ in range(n_workspaces)]
        self.tickets = [new_tickets() for _ in range(n_workspaces)]
        self.pool = ThreadPoolExecutor(self.n_threads)

    def __call__(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_replicas, n_beads, 3) [Å] -> energies (n_replicas,) [kcal/mol], forces [kcal/mol/Å], float64.

        Raises
        ------
        InputError
            if the shape does not fit, a position is not finite, or two beads coincide
        """
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        self._check(positions)
        energy, forces = np.empty(self.n_replicas), np.empty_like(positions)
        whole = self.n_replicas - self.n_replicas % self.n_threads
        dealt = iter(range(whole))  # each goes to the thread that asks next

        def deal(thread: int) -> None:
            for replica in dealt:
                beads = self._prepare(replica, positions[replica], thread)
                self._run(replica, beads, thread, 0, 1)
                energy[replica], forces[replica] = self._result(replica, thread)

        if whole:
            self._together(deal)
        for replica in range(whole, self.n_replicas):
            self._share(replica, positions[replica])
            energy[replica], forces[replica] = self._result(replica, 0)
        return energy + self.config.energy_shift, forces

    def _share(self, replica: int, positions: np.ndarray) -> None:
        """All threads on one replica."""

        beads = self._prepare(replica, positions, 0)

        def work(thread: int) -> None:
            self._run(replica, beads, 0, thread, self.n_threads)

        self._together(work)

    def _together(self, task: Callable[[int], None]) -> None:
        """The task on every thread but those that are still asleep when the first finds no more to do."""
        others = [self.pool.submit(task, t) for t in range(1, self.n_threads)]
        try:
            task(0)
        finally:
            awake = [other for other in others if not other.cancel()]
            wait(awake)
        for other in awake:
            other.result()

    def _prepare(self, replica: int, positions: np.ndarray, workspace: int) -> tuple[np.ndarray, np.ndarray]:
        """Make room in a workspace; positions and types of the beads as they lie there."""
        pair_list = self.pair_lists[replica]
        if pair_list is None or not is_good(pair_list, positions, self.skin):
            pair_list = list_pairs(positions, self.config.cutoff + self.skin, self.box)
            if self.arranged:
                pair_list = pair_list._replace(pairs=np.argsort(pair_list.order)[pair_list.pairs])
            self.pair_lists[replica] = pair_list
        if len(self.edges[workspace].sender) < 2 * len(pair_list.pairs):
            self.edges[workspace] = new_edges(len(positions), 3 * len(pair_list.pairs), self.dtype)
        self.tickets[workspace][:] = 0
        if not self.arranged:
            return positions, self.bead_type
        self.workspaces[workspace].factor[:] = self.factor[pair_list.order]
        return positions[pair_list.order], self.bead_type[pair_list.order]

    def _result(self, replica: int, workspace: int) -> tuple[float, np.ndarray]:
        """Energy without shift, and forces by the numbers of the beads."""
        work, pair_list = self.workspaces[workspace], self.pair_lists[replica]
        if not self.arranged or pair_list is None:
            return work.energy.sum(), work.forces
        energy, forces = np.empty_like(work.energy), np.empty_like(work.forces)
        energy[pair_list.order], forces[pair_list.order] = work.energy, work.forces
        return energy.sum(), forces

    def _run(self, replica, beads, workspace, thread, n_threads) -> None:
        """One replica in this workspace, by this one of the threads that share it."""
        pair_list, config = self.pair_lists[replica], self.config
        positions, bead_type = beads
        code = run_stages(
            n_threads, self.tickets[workspace], positions, bead_type, pair_list.pairs, pair_list.shifts,
            config.cutoff, config.channels, config.group == "O(3)", self.edges[workspace],
            self.network, self.workspaces[workspace], self.scratch[workspace + thread], self.lanes,
        )  # fmt: skip
        if code:
            first, second = pair_list.pairs[code - 1]
            if self.arranged:
                first, second = pair_list.order[[first, second]]
            raise coincident(replica, first, second)

    def _check(self, positions: np.ndarray) -> None:
        check_shape(positions.shape, self.n_replicas, len(self.bead_type))
        if not np.isfinite(positions).all():
            replica, bead, _ = np.argwhere(~np.isfinite(positions))[0]
            raise not_finite(replica, bead)


def engine_forces(
    compressed: CompressedPotential,
    bead_type: np.ndarray,
    replicas: int,
    dtype: type = np.float32,
    box: np.ndarray | None = None,
    charge: np.ndarray | None = None,
) -> Forces:
    """The energies and forces of replicas, as `cgprot.simulate.forces.forces_from` gives them.

    Parameters
    ----------
    compressed : of `cgprot.engine.compress`
    bead_type : (n_beads,) int
    replicas : how many a call brings
    dtype : floating-point type of features and tables
    box : (3, 3) [Å], rows are the box vectors; positions may lie outside it
    charge : (n_beads,) [e], formal, for a model with these as input

    Returns
    -------
    function of positions (replicas, n_beads, 3) [Å] that gives energies (replicas,) [kcal/mol] and forces
    (replicas, n_beads, 3) [kcal/mol/Å], all float64
    """
    return CpuEngine(compressed, bead_type, replicas, dtype, box, charge=charge)
