"""A small peptide built from internal coordinates, so that every angle in it is known."""

import numpy as np

from cgprot.beads import BeadSystem

TYPES = {"CH0": 1, "CH1": 2, "CH2": 3, "CH3": 4, "NH0": 5, "NH1": 6, "OH0": 9}
MASS = {"CH0": 12.011, "CH1": 13.019, "CH2": 14.027, "CH3": 15.035}
MASS |= {"NH0": 14.007, "NH1": 15.015, "OH0": 15.999}


def place(a, b, c, length, angle, dihedral):
    """Point d with |cd| = length, angle bcd and dihedral abcd [degrees], IUPAC sign."""
    angle, dihedral = np.radians([angle, dihedral])
    bc = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, bc)
    normal /= np.linalg.norm(normal)
    in_plane = np.cross(normal, bc)
    along = -np.cos(angle) * bc
    across = np.sin(angle) * (np.cos(dihedral) * in_plane + np.sin(dihedral) * normal)
    return c + length * (along + across)


def peptide(phi, psi, omega=180.0, sidechains=("CB",)):
    """ACE-(ALA)n-NME of L residues with the given dihedrals [degrees]; n = len(phi).

    `omega` is a number, or one for each of the n + 1 peptide bonds. With `sidechains` ("CB", "CG1",
    "CG2") the residues are valines, whose CB is a second centre with three neighbours.

    Returns
    -------
    BeadSystem, positions (n_beads, 3) [Å]
    """
    omega = np.broadcast_to(omega, len(phi) + 1)
    beads, bonds, points = [], [], []

    def add(name, kind, residue_name, residue, point, *bonded):
        beads.append((name, kind, residue_name, residue))
        points.append(np.asarray(point, dtype=float))
        bonds.extend((other, len(beads) - 1) for other in bonded)
        return len(beads) - 1

    methyl = add("CH3", "CH3", "ACE", 1, [0.0, 0.0, 0.0])
    carbonyl = add("C", "CH0", "ACE", 1, [1.52, 0.0, 0.0], methyl)
    virtual = np.array([0.0, 1.0, 0.0])
    # C-O is anti to the coming N.
    add("O", "OH0", "ACE", 1, place(virtual, points[0], points[1], 1.23, 120.0, 180.0), carbonyl)
    nitrogen_point = place(virtual, points[0], points[1], 1.33, 116.0, 0.0)
    alpha_before = methyl
    for index, (phi_i, psi_i) in enumerate(zip(phi, psi, strict=True)):
        number, residue_name = index + 2, "VAL" if "CG1" in sidechains else "ALA"
        n = add("N", "NH1", residue_name, number, nitrogen_point, carbonyl)
        ca_point = place(points[alpha_before], points[carbonyl], points[n], 1.46, 122.0, omega[index])
        ca = add("CA", "CH1", residue_name, number, ca_point, n)
        c_point = place(points[carbonyl], points[n], points[ca], 1.53, 111.0, phi_i)
        # An L residue: CB lies at -122.5° from C seen along N-CA.
        cb_point = place(points[carbonyl], points[n], points[ca], 1.53, 110.0, phi_i - 122.5)
        cb = add("CB", "CH1" if "CG1" in sidechains else "CH3", residue_name, number, cb_point, ca)
        for name, chi in (("CG1", 180.0), ("CG2", -58.0)):
            if name in sidechains:
                point = place(points[n], points[ca], points[cb], 1.52, 110.5, chi)
                add(name, "CH3", residue_name, number, point, cb)
        c = add("C", "CH0", residue_name, number, c_point, ca)
        o_point = place(points[n], points[ca], points[c], 1.23, 120.5, psi_i + 180.0)
        add("O", "OH0", residue_name, number, o_point, c)
        nitrogen_point = place(points[n], points[ca], points[c], 1.33, 116.0, psi_i)
        alpha_before, carbonyl = ca, c
    n = add("N", "NH1", "NME", len(phi) + 2, nitrogen_point, carbonyl)
    end = place(points[alpha_before], points[carbonyl], points[n], 1.46, 122.0, omega[-1])
    add("C", "CH3", "NME", len(phi) + 2, end, n)
    return bead_system(beads, bonds), np.array(points)


def bead_system(beads, bonds):
    """BeadSystem from (name, type, residue name, residue number) rows and bonded pairs."""
    name, kind, residue_name, residue = (np.array(column) for column in zip(*beads, strict=True))
    return BeadSystem(
        bead_type=np.array([TYPES[entry] for entry in kind]),
        type_name=kind,
        mass=np.array([MASS[entry] for entry in kind]),
        charge=np.zeros(len(kind)),
        bonds=np.array(bonds),
        bead_of_atom=np.arange(len(kind)),
        bead_name=name,
        residue_name=residue_name,
        residue_id=residue,
        chain=np.full(len(kind), "A"),
        mapping="heavy",
        mapping_hash="0" * 16,
    )
