"""Exploration of design spaces: points are estimated in many processes and kept in a store, the best are checked."""
