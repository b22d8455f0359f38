"""Pages for the people of an organization: a coordinator at the door, and whoever answers for a house tonight.

Routes here are no part of the API's document. They do the same acts as it does, by the same language of `db`.
"""
