"""Bringing in spreadsheets from the command line: only this knows a terminal."""
