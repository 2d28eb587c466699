"""What a step takes, worked out instead of simulated: the plan's instructions and the units' own latencies."""
