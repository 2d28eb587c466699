"""A serial line as the way to an accelerator's registers and memory."""

from rtlm.hw.board.link.link import LinkParams, UartLink

__all__ = ["LinkParams", "UartLink"]
