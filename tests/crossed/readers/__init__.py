"""What tools read of what we write: a module a tool, each in the environment of the tool."""
