"""The units inside cgprot and every factor that leads into them.

Length Å, time ps, mass Da, energy kcal/mol, temperature K, charge e; hence velocity Å/ps and
force kcal/mol/Å. No other file holds a conversion factor.
"""

# Exact by definition of the mole, the kelvin and the thermochemical calorie (SI 2019, CODATA 2018).
AVOGADRO = 6.02214076e23  # 1/mol
KJ_PER_KCAL = 4.184
BOLTZMANN = 1.380649e-23 * AVOGADRO / (1000.0 * KJ_PER_KCAL)  # kcal/mol/K

# 1 kcal/mol = 4184 J/mol and 1 Da Å²/ps² = 1e-3 kg/mol * (100 m/s)² = 10 J/mol.
ENERGY_TO_MASS_VELOCITY_SQUARED = 100.0 * KJ_PER_KCAL  # 418.4 Da Å²/ps² in a kcal/mol

# e²/(4 π ε₀), the elementary charge exact (SI 2019), the electric constant of CODATA 2018.
COULOMB = 332.0637132991921  # kcal Å/mol/e²

ANGSTROM_PER_NM = 10.0
PER_CUBIC_ANGSTROM_PER_MILLIMOLAR = 1e-3 * AVOGADRO / 1e27  # a litre is 1e27 Å³
FS_PER_PS = 1000.0
PS_PER_NS = 1000.0
SECONDS_PER_DAY = 86400.0

KCAL_PER_KJ = 1.0 / KJ_PER_KCAL
# OpenMM gives forces in kJ/mol/nm, MDAnalysis in kJ/mol/Å.
FORCE_FROM_OPENMM = 1.0 / (KJ_PER_KCAL * ANGSTROM_PER_NM)  # kcal/mol/Å
FORCE_FROM_MDANALYSIS = 1.0 / KJ_PER_KCAL  # kcal/mol/Å

# The time unit of CHARMM, in which a DCD header states its step: sqrt(Da Å² / (kcal/mol)).
# CHARMM's own rounded value; readers multiply by it, so the file must be divided by the same.
AKMA_PS = 4.888821e-2
