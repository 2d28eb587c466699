"""Power and energy: elements and DRAM commands x energies of technology files, by component, boundary and operator."""
