"""Projects of other tools on disk: `python -m … FOLDER PLACE` makes one of a folder of photographs.

With a port as well, FiftyOne serves the one that is there; the others have commands for that.
"""
