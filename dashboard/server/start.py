"""The process of the server: Streamlit's command line, without the theme that it makes for plotly's charts.

The pages show charts in a component of their own. For the theme Streamlit would load plotly before it
answers: a third of the time until it does.

Pillow holds pictures in blocks of 16 MB, which the C library keeps for each thread that ever freed one; those
above 32 MB it gives back.
"""

import os
import sys

# Seconds after which a busy thread lets another one go on. Reading a file or a table gives the turn away,
# some hundred times a view: with Python's 5 ms, a view of one reader waits seconds while others compute.
SWITCH = 0.0005

if __name__ == "__main__":
    sys.setswitchinterval(SWITCH)
    os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")
    sys.modules["plotly.graph_objects"] = None  # pyright: ignore[reportArgumentType]  # as if not installed
    from streamlit.web import cli

    del sys.modules["plotly.graph_objects"]
    cli.main(prog_name="streamlit")
