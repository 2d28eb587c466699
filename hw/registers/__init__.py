"""Registers: their classes and documentation, the AXI4-Lite slave that serves them, and the map of the accelerator."""

from rtlm.hw.registers.axi_lite import RegisterFile
from rtlm.hw.registers.classes import Access, Field, Register, RegisterAccess, RegisterMap

__all__ = ["Access", "Field", "Register", "RegisterAccess", "RegisterFile", "RegisterMap"]
