"""Names of claim 2's ways of decoding, for who tells results and needs no library of theirs."""

GATE = "our gate"
MEMORY = "our gate and decoder"
TUNED = "our gate, tuned"
WARD = "Ward clustering"
WARD_HEIGHT = "Ward clustering, one height"
UNIFORM = ("uniform", "uniform, averaged")
UNIFORM_MEMORY = ("uniform, our decoder", "uniform, averaged, our decoder")
