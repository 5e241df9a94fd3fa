"""Networks: readable reference code, differentiable twice."""
