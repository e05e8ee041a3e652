"""Programs that turn a folder of photographs into embeddings, one a peer: `-m … FOLDER WEIGHTS OUT.npy`.

Each runs in the environment of its peer, writes (n, 2048) float32 in the order of file names, and prints the
settings that it chose.
"""
