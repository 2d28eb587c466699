"""How good the estimates are: the errors that docs/estimates.md lists, as every estimate states them."""

from rtlm.host.estimation.result import ErrorBand

ERROR_BAND = ErrorBand(mean=0.01, worst=0.03, points=0, held_out=0, source="docs/estimates.md")
