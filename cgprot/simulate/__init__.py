"""Running a potential: noise, integrator, guards, records."""
