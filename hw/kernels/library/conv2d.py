"""Two-dimensional convolution as a nest of loops: an image and its taps wait in memories, a window is a packet."""

from rtlm.hw.hls import Ram, SInt, UInt, kernel, loop, stream_sum

SIDE = 3
"""Of a window."""
PITCH = 32
"""Words from a line of the image to the next."""
WORDS = 32 * PITCH


@kernel
def conv2d(image: Ram[UInt(8), WORDS], taps: Ram[SInt(8), SIDE * SIDE], height: UInt(5), width: UInt(5)) -> SInt(32):
    """``sum of image[y + v, x + u] * taps[v, u]`` for each y below ``height`` and x below ``width``."""
    for y, x in loop(height, width):
        for v, u in loop(SIDE, SIDE):
            pixel = image[(y + v) * PITCH + x + u]
            total = stream_sum(pixel * taps[v * SIDE + u], SInt(32))
    return total
