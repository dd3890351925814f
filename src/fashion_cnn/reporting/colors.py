"""The colour of each arm, in every figure and on every page.

Of Okabe and Ito 2008, "Color universal design", those with a contrast of 3:1 on white and on near-black.
"""

from typing import Final

from fashion_cnn.core.params import ARMS

COLORS: Final = dict(zip(ARMS, ("#CC79A7", "#0072B2", "#D55E00", "#009E73"), strict=True))
