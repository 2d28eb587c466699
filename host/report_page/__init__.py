"""The report of a run as one HTML file without network, scripts or fonts of its own."""
