"""Names of chains: beads know by nothing else which chain they belong to."""

from collections import Counter

from openmm import app

from cgprot.files.topology import free_chain_names


def name_chains(topology: app.Topology, notes: Counter[str]) -> None:
    """Give every chain a name of its own; the first of several keeps theirs, and a blank is A.

    Residue numbers that go on from chain to chain tell residues apart, not molecules.

    Parameters
    ----------
    notes : where it is counted what was done
    """
    names = [chain.id.strip() or "A" for chain in topology.chains()]
    free, given = free_chain_names(names), set()
    for chain, name in zip(topology.chains(), names, strict=True):
        if name in given:
            name = next(free, name)
            notes["chain with a letter used before"] += 1
        chain.id = name
        given.add(name)
