"""All-atom reference data: structures, molecular dynamics, mean forces (OpenMM lives here)."""
