"""Runs and estimates taken apart: by stage, module and operator, and with and without each optimisation."""
