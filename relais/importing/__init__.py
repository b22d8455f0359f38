"""Bringing in what organizations have in a spreadsheet: reading it, guessing its columns, checking and adding its rows.

Only `commands` knows a terminal; the rest says what is in a file and what would come of it.
"""
