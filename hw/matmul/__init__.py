"""The product of a quantised matrix with vectors: parameters, unit, parts, model."""
