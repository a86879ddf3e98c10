"""One short module for each command: it reads the arguments, calls what does the work, and prints the answer."""
