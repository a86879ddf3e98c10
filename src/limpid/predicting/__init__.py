"""Restoring files: which photographs there are, where results go, what is done already, and the work itself.

`limpid.commands.predict` reads the words and calls `restore_all`.
"""
