"""What each tool writes, a file a tool. Each runs in the tool's environment, and imports nothing of ours but
`tests.crossed.kit`."""
