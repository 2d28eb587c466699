"""Accelerators on boards, behind device files of Linux: registers, memory, interrupt, and what loads an image."""
