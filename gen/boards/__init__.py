"""Pins and clocks of boards, and the self-test that runs on one."""
