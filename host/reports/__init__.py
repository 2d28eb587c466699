"""What a run measured: cycles by cause, bytes by purpose, power, tables, timelines."""
