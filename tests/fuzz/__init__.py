"""Hostile inputs of many kinds, made from seeds, put to the commands as a user would: ``make fuzz``."""
