"""Files that the real tools write, read by us and compared with the tools' own numbers: `make crossed`.

`writers/TOOL.py` runs in an environment of the tool's own and writes; the rest runs in ours and reads.
"""
