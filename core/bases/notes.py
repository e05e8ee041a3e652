"""What is assumed of a dictionary where neither its file nor the user says it: a note a kind.

A new one is a line of `notes.toml` and a call of `noted` where it is found.
"""

from core.common.records import Templates

noted = Templates.beside(__file__)
