"""Libraries of standard cells whose energies are recorded."""

OSU018, NANGATE45 = "osu018", "nangate45"
LIBRARIES = (OSU018, NANGATE45)
"""The one that is fetched first."""
