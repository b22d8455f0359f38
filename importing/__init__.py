"""Bringing in what organizations have in a spreadsheet: reading it, guessing its columns, checking and adding its rows.

It says what is in a file and what would come of it, to the command line and to the console alike; it knows neither.
"""
