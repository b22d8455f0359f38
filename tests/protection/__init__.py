"""Tests of what nobody may learn, whoever they are and whatever they ask."""
