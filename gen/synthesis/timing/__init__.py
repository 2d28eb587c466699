"""Static timing: the clock that the delays of cells and a model of wires allow a netlist that is not placed."""
