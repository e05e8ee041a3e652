"""What is assumed of an encoder where neither its file nor the user says it: a note a kind.

A new one is a line of `assumptions.toml` and a call of `assumed` where it is found.
"""

from core.common.records import Templates

assumed = Templates.beside(__file__)
