"""The heart: who may pass. Pure: no I/O, no clock, no random; all comes in as arguments.

Run by the gate, the centre and the simulated venue alike, so that there is one answer, not three.
"""
